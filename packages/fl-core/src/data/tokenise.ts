import type { DataRow, RejectedRow } from './row.ts';
import { TEMPLATES, type TemplateId } from './templates.ts';
import type { Tokenizer } from './tokenizer.ts';

/** The label of a position that has no loss. */
export const NO_LABEL = -100;

export interface TokenizedRow {
  readonly inputIds: readonly number[];
  /** As long as `inputIds` and not shifted: the model predicts labels[t] from the ids before t. NO_LABEL for the prompt. */
  readonly labels: readonly number[];
}

export interface TokeniseOptions {
  readonly template: TemplateId;
  readonly tokenizer: Tokenizer;
  readonly maxSeqLength: number;
}

/**
 * One row as the model is trained on it: BOS, the templated text, EOS, cut at `maxSeqLength` tokens. What is learnt
 * begins where the ids of prompt and response together first differ from those of the prompt alone, so that it does
 * not depend on any tokenizer's way of splitting a heading. Rejected when the prompt fills all of it.
 */
export function tokenizeRow(
  row: Pick<DataRow, 'prompt' | 'response'>,
  { template, tokenizer, maxSeqLength }: TokeniseOptions,
): TokenizedRow | { readonly reason: string } {
  const { prompt, completion } = TEMPLATES[template];
  const promptText = prompt(row.prompt);
  const promptIds = tokenizer.encode(promptText, { bos: true });
  const all = [...tokenizer.encode(promptText + completion(row.response), { bos: true }), tokenizer.eosId];
  let learntFrom = 1;
  while (learntFrom < promptIds.length && promptIds[learntFrom] === all[learntFrom]) learntFrom++;
  if (learntFrom >= maxSeqLength) {
    return { reason: `has a prompt of ${learntFrom} tokens, expected fewer than the ${maxSeqLength} of a sequence` };
  }
  const inputIds = all.slice(0, maxSeqLength);
  return { inputIds, labels: inputIds.map((id, i) => (i < learntFrom ? NO_LABEL : id)) };
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
    const result = tokenizeRow(row, options);
    if ('reason' in result) rejected.push({ line: row.line, reason: result.reason });
    else {
      examples.push(result);
      kept.push(row);
      if (result.inputIds.length === options.maxSeqLength && result.inputIds.at(-1) !== options.tokenizer.eosId)
        truncatedRows++;
    }
  }
  return { examples, rows: kept, rejected, truncatedRows };
}
