import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { parseDataset, type TemplateId, type Tokenizer, tokenizeRows } from '@cotune/fl-core';
import { note, UserError } from './output.ts';

export interface TokenizedExample {
  readonly inputIds: readonly number[];
  readonly labels: readonly number[];
}

export interface TokenizedData {
  readonly examples: readonly TokenizedExample[];
  readonly rejected: readonly { file: string; line: number; reason: string }[];
}

/** Reads and tokenises data files; rejected rows are listed, never fatal. Throws UserError when nothing is left. */
export async function loadData(
  files: readonly string[],
  options: { tokenizer: Tokenizer; template: TemplateId; maxSeqLength: number },
): Promise<TokenizedData> {
  const examples: TokenizedExample[] = [];
  const rejected: { file: string; line: number; reason: string }[] = [];
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
export async function loadTokens(file: string, vocabSize: number): Promise<TokenizedData> {
  const examples: TokenizedExample[] = [];
  const rejected: { file: string; line: number; reason: string }[] = [];
  const lines = (await readFile(file, 'utf8')).split('\n');
  lines.forEach((text, i) => {
    if (text.trim() === '') return;
    const parsed = parseTokenRow(text, vocabSize);
    if (typeof parsed === 'string') rejected.push({ file, line: i + 1, reason: parsed });
    else examples.push(parsed);
  });
  reportRejected(rejected);
  if (examples.length === 0) throw new UserError(`no usable row of {"input_ids", "labels"} in ${file}`);
  return { examples, rejected };
}

function parseTokenRow(text: string, vocabSize: number): TokenizedExample | string {
  let row: { input_ids?: unknown; labels?: unknown };
  try {
    row = JSON.parse(text) as typeof row;
  } catch (error) {
    return `not JSON: ${(error as Error).message}`;
  }
  const { input_ids: inputIds, labels } = row ?? {};
  const isIds = (value: unknown, low: number): value is number[] =>
    Array.isArray(value) && value.every((id) => Number.isInteger(id) && (id === -100 || id >= low) && id < vocabSize);
  if (!isIds(inputIds, 0) || inputIds.includes(-100))
    return `input_ids: expected whole numbers from 0 to ${vocabSize - 1}`;
  if (!isIds(labels, 0)) return `labels: expected −100 or whole numbers from 0 to ${vocabSize - 1}`;
  if (inputIds.length !== labels.length) return `${inputIds.length} input_ids but ${labels.length} labels`;
  if (!labels.slice(1).some((label) => label !== -100)) return 'no label after the first position';
  return { inputIds, labels };
}

function reportRejected(rejected: readonly { file: string; line: number; reason: string }[]): void {
  if (rejected.length === 0) return;
  note(`${rejected.length} row${rejected.length === 1 ? '' : 's'} rejected:`);
  for (const row of rejected.slice(0, 10)) note(`  ${row.file}:${row.line}: ${row.reason}`);
  if (rejected.length > 10) note(`  … and ${rejected.length - 10} more`);
}
