import { dialogueTokens } from './dialogue-tokens.ts';
import type { PreferenceRow } from './parse-preferences.ts';
import type { RejectedRow } from './row.ts';
import { NO_LABEL, type TokeniseOptions, type TokenizedRow } from './tokenise.ts';

/** A preference pair as the model is trained on it: two sequences that begin with the same prompt. */
export interface TokenizedPair {
  readonly chosen: TokenizedRow;
  readonly rejected: TokenizedRow;
}

export interface TokenisePairOptions extends TokeniseOptions {
  /** Where prompt and answer do not fit, the prompt gives way down to this many tokens, BOS included. Default half of maxSeqLength. */
  readonly maxPromptLength?: number | undefined;
}

/**
 * One pair: BOS, templated prompt, answer, EOS, twice. Where the longer sequence passes `maxSeqLength`, the prompt is cut
 * from the left, behind BOS, as far as needed but to no less than `maxPromptLength` tokens, for the latest question is nearest
 * the answer; then the answers are cut from the right. Both keep the same prompt tokens, so that the prompt cancels from the comparison.
 */
export function tokenizePair(
  row: Pick<PreferenceRow, 'turns' | 'chosen' | 'rejected'>,
  { template, tokenizer, maxSeqLength, maxPromptLength = Math.ceil(maxSeqLength / 2) }: TokenisePairOptions,
): (TokenizedPair & { readonly truncated: boolean }) | { readonly reason: string } {
  const one = dialogueTokens([...row.turns, row.chosen], template, tokenizer);
  const other = dialogueTokens([...row.turns, row.rejected], template, tokenizer);
  if ('reason' in one) return one;
  if ('reason' in other) return other;
  const [chosen, rejected] = [one.ids, other.ids];
  // The prompt's last token may melt into an answer's first; then it belongs to both answers.
  const learntFrom = Math.min(one.answers.at(-1)?.from ?? 1, other.answers.at(-1)?.from ?? 1);
  const excess = Math.max(0, Math.max(chosen.length, rejected.length) - maxSeqLength);
  const cut = Math.min(excess, Math.max(0, learntFrom - Math.max(1, maxPromptLength)));
  const first = learntFrom - cut;
  if (first >= maxSeqLength) {
    return { reason: `has a prompt of ${first} tokens, expected fewer than the ${maxSeqLength} of a sequence` };
  }
  const [a, b] = [chosen, rejected].map((all): TokenizedRow => {
    const inputIds = [tokenizer.bosId, ...all.slice(1 + cut)].slice(0, maxSeqLength);
    return { inputIds, labels: inputIds.map((id, t) => (t < first ? NO_LABEL : id)) };
  }) as [TokenizedRow, TokenizedRow];
  if (a.inputIds.length === b.inputIds.length && a.inputIds.every((id, t) => id === b.inputIds[t])) {
    return { reason: `has answers that are the same within ${maxSeqLength} tokens` };
  }
  return { chosen: a, rejected: b, truncated: excess > 0 };
}

/** Every pair, with those that do not fit rejected; `rows[i]` is the row of `pairs[i]`. */
export function tokenizePairs(
  rows: readonly PreferenceRow[],
  options: TokenisePairOptions,
): {
  readonly pairs: TokenizedPair[];
  readonly rows: PreferenceRow[];
  readonly rejected: RejectedRow[];
  readonly truncatedRows: number;
} {
  const pairs: TokenizedPair[] = [];
  const kept: PreferenceRow[] = [];
  const rejected: RejectedRow[] = [];
  let truncatedRows = 0;
  for (const row of rows) {
    const result = tokenizePair(row, options);
    if ('reason' in result) {
      rejected.push({ line: row.line, reason: result.reason });
      continue;
    }
    pairs.push({ chosen: result.chosen, rejected: result.rejected });
    kept.push(row);
    if (result.truncated) truncatedRows++;
  }
  return { pairs, rows: kept, rejected, truncatedRows };
}
