import { parsePreferences, type TemplateId, type Tokenizer, tokenizePairs } from '@cotune/fl-core';
import { note, UserError } from './output.ts';
import { type RejectedLine, reportRejected } from './rejected-rows.ts';
import { collectRows } from './row-files.ts';
import { collectTokenRows, parseTokenRow, type TokenizedExample, type TokenLimits } from './token-rows.ts';

/** Two responses to one prompt, of which the first was preferred. */
export interface TokenizedPair {
  readonly chosen: TokenizedExample;
  readonly rejected: TokenizedExample;
}

export interface TokenizedPairs {
  readonly pairs: readonly TokenizedPair[];
  readonly rejected: readonly RejectedLine[];
}

export interface PairDataOptions {
  readonly tokenizer: Tokenizer;
  readonly template: TemplateId;
  readonly maxSeqLength: number;
  readonly maxPromptLength?: number | undefined;
}

/** Reads and tokenises files of preference pairs; rejected rows are listed, never fatal. Throws UserError when nothing is left. */
export async function loadPairs(files: readonly string[], options: PairDataOptions): Promise<TokenizedPairs> {
  const collected = await collectRows(files, async (bytes, fileName) => {
    const data = await parsePreferences(bytes, { fileName });
    const { pairs: rows, truncatedRows, rejected } = tokenizePairs(data.rows, options);
    return { rows, truncatedRows, rejected: [...data.rejected, ...rejected] };
  });
  const { rows: pairs, rejected, truncatedRows } = collected;
  if (truncatedRows > 0) note(`${truncatedRows} pairs were cut to ${options.maxSeqLength} tokens`);
  reportRejected(rejected);
  if (pairs.length === 0)
    throw new UserError(
      `no usable preference pair in ${files.join(', ')}: expected prompt, chosen and rejected, or HH-RLHF transcripts`,
    );
  return { pairs, rejected };
}

/** Reads rows `{"chosen_input_ids", "chosen_labels", "rejected_input_ids", "rejected_labels"}`. */
export async function loadPairTokens(file: string, limits: TokenLimits): Promise<TokenizedPairs> {
  const { rows, rejected } = await collectTokenRows<TokenizedPair>(file, (row) => {
    const chosen = parseTokenRow(row.chosen_input_ids, row.chosen_labels, limits, 'chosen_');
    if (typeof chosen === 'string') return chosen;
    const other = parseTokenRow(row.rejected_input_ids, row.rejected_labels, limits, 'rejected_');
    return typeof other === 'string' ? other : { chosen, rejected: other };
  });
  reportRejected(rejected);
  if (rows.length === 0) throw new UserError(`no usable row of {"chosen_input_ids", …, "rejected_labels"} in ${file}`);
  return { pairs: rows, rejected };
}
