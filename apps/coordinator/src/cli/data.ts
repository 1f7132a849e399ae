import { parseDataset, type TemplateId, type Tokenizer, tokenizeRows } from '@cotune/fl-core';
import { note, UserError } from './output.ts';
import { type RejectedLine, reportRejected } from './rejected-rows.ts';
import { collectRows } from './row-files.ts';
import { collectTokenRows, parseTokenRow, type TokenizedExample, type TokenLimits } from './token-rows.ts';

export interface TokenizedData {
  readonly examples: readonly TokenizedExample[];
  readonly rejected: readonly RejectedLine[];
}

/** Reads and tokenises data files; rejected rows are listed, never fatal. Throws UserError when nothing is left. */
export async function loadData(
  files: readonly string[],
  options: { tokenizer: Tokenizer; template: TemplateId; maxSeqLength: number },
): Promise<TokenizedData> {
  const collected = await collectRows(files, async (bytes, fileName) => {
    const data = await parseDataset(bytes, { fileName });
    const { examples: rows, truncatedRows, rejected } = tokenizeRows(data.rows, options);
    return { rows, truncatedRows, rejected: [...data.rejected, ...rejected] };
  });
  const { rows: examples, rejected, truncatedRows } = collected;
  if (truncatedRows > 0) note(`${truncatedRows} rows were cut at ${options.maxSeqLength} tokens`);
  reportRejected(rejected);
  if (examples.length === 0)
    throw new UserError(
      `no usable training row in ${files.join(', ')}: rejected rows are listed above with the reason; the README names the formats`,
    );
  return { examples, rejected };
}

/** Reads pre-tokenised rows `{"input_ids": […], "labels": […]}`. */
export async function loadTokens(file: string, limits: TokenLimits): Promise<TokenizedData> {
  const { rows, rejected } = await collectTokenRows(file, (row) => parseTokenRow(row.input_ids, row.labels, limits));
  reportRejected(rejected);
  if (rows.length === 0) throw new UserError(`no usable row of {"input_ids", "labels"} in ${file}`);
  return { examples: rows, rejected };
}
