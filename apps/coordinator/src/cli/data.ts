import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { parseDataset, type TemplateId, type Tokenizer, tokenizeRows } from '@cotune/fl-core';
import { note, UserError } from './output.ts';
import { type RejectedLine, reportRejected } from './rejected-rows.ts';
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
  const examples: TokenizedExample[] = [];
  const rejected: RejectedLine[] = [];
  let truncatedRows = 0;
  for (const file of files) {
    const data = parseDataset(await readFile(file), { fileName: basename(file) });
    for (const row of data.rejected) rejected.push({ file, ...row });
    const tokenized = tokenizeRows(data.rows, options);
    for (const example of tokenized.examples) examples.push(example); // too many to spread into one call
    truncatedRows += tokenized.truncatedRows;
    for (const row of tokenized.rejected) rejected.push({ file, ...row });
  }
  if (truncatedRows > 0) note(`${truncatedRows} rows were cut at ${options.maxSeqLength} tokens`);
  reportRejected(rejected);
  if (examples.length === 0) throw new UserError(`no usable training row in ${files.join(', ')}`);
  return { examples, rejected };
}

/** Reads pre-tokenised rows `{"input_ids": […], "labels": […]}`. */
export async function loadTokens(file: string, limits: TokenLimits): Promise<TokenizedData> {
  const { rows, rejected } = await collectTokenRows(file, (row) => parseTokenRow(row.input_ids, row.labels, limits));
  reportRejected(rejected);
  if (rows.length === 0) throw new UserError(`no usable row of {"input_ids", "labels"} in ${file}`);
  return { examples: rows, rejected };
}
