import type { ChatTemplate } from './chat-template.ts';
import { type DialogueTokens, dialogueTokens } from './dialogue-tokens.ts';
import type { DataRow, RejectedRow } from './row.ts';
import type { TemplateId } from './templates.ts';
import type { Tokenizer } from './tokenizer.ts';

/** The label of a position that has no loss. */
export const NO_LABEL = -100;

export interface TokenizedRow {
  readonly inputIds: readonly number[];
  /** As long as `inputIds` and not shifted: the model predicts labels[t] from the ids before t. NO_LABEL for the prompt. */
  readonly labels: readonly number[];
}

export interface TokeniseOptions {
  /** One of ours by its id, or the model's own (`loadChatTemplate`). */
  readonly template: TemplateId | ChatTemplate;
  readonly tokenizer: Tokenizer;
  readonly maxSeqLength: number;
}

/**
 * One row as the model is trained on it: BOS, the templated dialogue with every answer learnt, its EOS included, cut at
 * `maxSeqLength` tokens. A row without a prompt is text to be learnt as it is: BOS, text, EOS. Rejected when what comes
 * before the first answer fills all of it.
 */
export function tokenizeRow(row: DialogueRow, options: TokeniseOptions): TokenizedRow | { readonly reason: string } {
  const result = fitRow(row, options);
  return 'reason' in result ? result : result.example;
}

type DialogueRow = Pick<DataRow, 'history' | 'prompt' | 'response'>;

function fitRow(
  row: DialogueRow,
  { template, tokenizer, maxSeqLength }: TokeniseOptions,
): { readonly example: TokenizedRow; readonly truncated: boolean } | { readonly reason: string } {
  const { history = [], prompt, response } = row;
  const tokens =
    prompt === '' && history.length === 0
      ? textTokens(response, tokenizer)
      : dialogueTokens(
          [...history.flatMap((turn) => [turn.prompt, turn.response]), prompt, response],
          template,
          tokenizer,
        );
  if ('reason' in tokens) return tokens;
  const first = tokens.answers[0]?.from ?? tokens.ids.length;
  if (first >= maxSeqLength) {
    return { reason: `has a prompt of ${first} tokens, expected fewer than the ${maxSeqLength} of a sequence` };
  }
  const inputIds = tokens.ids.slice(0, maxSeqLength);
  const labels: number[] = inputIds.map(() => NO_LABEL);
  for (const { from, to } of tokens.answers) {
    for (let t = from; t < to && t < inputIds.length; t++) labels[t] = inputIds[t] ?? NO_LABEL;
  }
  return { example: { inputIds, labels }, truncated: tokens.ids.length > maxSeqLength };
}

function textTokens(text: string, tokenizer: Tokenizer): DialogueTokens {
  const ids = [...tokenizer.encode(text, { bos: true }), tokenizer.eosId];
  return { ids, answers: [{ from: 1, to: ids.length }] };
}

/** Every row, with those that do not fit rejected; `rows[i]` is the row of `examples[i]`. */
export function tokenizeRows(
  rows: readonly DataRow[],
  options: TokeniseOptions,
): {
  readonly examples: TokenizedRow[];
  readonly rows: DataRow[];
  readonly rejected: RejectedRow[];
  readonly truncatedRows: number;
} {
  const examples: TokenizedRow[] = [];
  const kept: DataRow[] = [];
  const rejected: RejectedRow[] = [];
  let truncatedRows = 0;
  for (const row of rows) {
    const result = fitRow(row, options);
    if ('reason' in result) {
      rejected.push({ line: row.line, reason: result.reason });
      continue;
    }
    examples.push(result.example);
    kept.push(row);
    if (result.truncated) truncatedRows++;
  }
  return { examples, rows: kept, rejected, truncatedRows };
}
