import {
  type DataRow,
  PREFERENCE_FORMATS,
  type PreferenceRow,
  parseDataset,
  parsePreferences,
  type RejectedRow,
  ROW_FORMATS,
  type RunConfig,
  type Tokenizer,
  tokenizePairs,
  tokenizeRows,
} from '@cotune/fl-core';
import type { PreferencePair, TokenizedExample } from '@cotune/kernels';
import { COLUMN_ROLES, type ColumnChoice, chosenColumns } from './columns.ts';

// What differs between the tasks on the way from a file to tokens; local-trainer.ts has the rest, the loop.

/** Rows as they were read, before any model. */
export type TaskRows =
  | { readonly task: 'sft'; readonly rows: readonly DataRow[] }
  | { readonly task: 'dpo'; readonly rows: readonly PreferenceRow[] };

export type ParsedRows = TaskRows & {
  /** Name of the format of most rows; null when no row could be used or the columns were chosen. */
  readonly format: string | null;
  readonly rejected: readonly RejectedRow[];
  readonly emptyRows: number;
  readonly duplicateRows: number;
  /** How often each answer occurs, most often first; null where there are many, or pairs of them. */
  readonly answerCounts: readonly { readonly answer: string; readonly count: number }[] | null;
};

/** What a model is trained on; it never leaves the tab. */
export type TrainingData =
  | { readonly task: 'sft'; readonly examples: readonly TokenizedExample[] }
  | { readonly task: 'dpo'; readonly pairs: readonly PreferencePair[] };

/**
 * A data file in any format of the task, or as the chosen columns say. Bad rows are rejected with their line; throws
 * DataError for a file that is none.
 */
export async function parseRows(
  task: RunConfig['task'],
  bytes: Uint8Array,
  { fileName, columns }: { readonly fileName: string; readonly columns: ColumnChoice | null },
): Promise<ParsedRows> {
  if (task === 'dpo') return parsePairs(bytes, fileName, columns);
  const mapping = columns && { prompt: columns.prompt, response: columns.response };
  const { rows, format, rejected, card } = await parseDataset(bytes, { fileName, ...(mapping && { mapping }) });
  const answerCounts = card.responseCounts?.map(({ response, count }) => ({ answer: response, count })) ?? null;
  const { emptyRows, duplicateRows } = card;
  const label = format === null || format === 'mapping' ? null : ROW_FORMATS[format].label;
  return { task, rows, format: label, rejected, emptyRows, duplicateRows, answerCounts };
}

/** Preference formats know no columns of other names: those that the owner chose are renamed before the file is parsed. */
async function parsePairs(bytes: Uint8Array, fileName: string, columns: ColumnChoice | null): Promise<ParsedRows> {
  const chosen = columns && (await chosenColumns(bytes, fileName, COLUMN_ROLES.dpo, columns));
  const read = chosen
    ? await parsePreferences(chosen.bytes, { fileName: 'chosen-columns.jsonl' })
    : await parsePreferences(bytes, { fileName });
  const inFile = <Row extends { readonly line: number }>(row: Row): Row =>
    chosen ? { ...row, line: chosen.lines[row.line - 1] ?? row.line } : row;
  const { format, emptyRows, duplicateRows } = read;
  const rejected = [...(chosen?.rejected ?? []), ...read.rejected.map(inFile)];
  return {
    task: 'dpo',
    rows: read.rows.map(inFile),
    format: chosen || format === null ? null : PREFERENCE_FORMATS[format].label,
    rejected,
    emptyRows,
    duplicateRows,
    answerCounts: null,
  };
}

/** How rows become tokens; a run's configuration has it all. */
export type TokeniseConfig = Pick<RunConfig, 'dpo' | 'template' | 'maxSeqLength'>;

export interface TokenisedRows {
  readonly data: TrainingData;
  /** The rows that were kept: kept.rows[i] became example or pair i. */
  readonly kept: TaskRows;
  readonly rejected: readonly RejectedRow[];
  readonly truncatedRows: number;
}

/** Rows as the model takes them, cut and templated as `config` says. Nothing usable gives no examples, not an error. */
export function tokeniseTraining(
  given: TaskRows,
  { dpo, template, maxSeqLength }: TokeniseConfig,
  tokenizer: Tokenizer,
): TokenisedRows {
  if (given.task === 'dpo') {
    const { maxPromptLength } = dpo;
    const { pairs, rows, ...rest } = tokenizePairs(given.rows, { template, tokenizer, maxSeqLength, maxPromptLength });
    return { data: { task: 'dpo', pairs }, kept: { task: 'dpo', rows }, ...rest };
  }
  const { examples, rows, ...rest } = tokenizeRows(given.rows, { template, tokenizer, maxSeqLength });
  return { data: { task: 'sft', examples }, kept: { task: 'sft', rows }, ...rest };
}

/** Rows that a round can draw from: examples, or pairs. */
export function rowCount(data: TrainingData): number {
  return data.task === 'dpo' ? data.pairs.length : data.examples.length;
}

/** Tokens of each example; of a pair those of both its sequences. */
export function tokenLengths(data: TrainingData): number[] {
  if (data.task === 'sft') return data.examples.map(({ inputIds }) => inputIds.length);
  return data.pairs.map(({ chosen, rejected }) => chosen.inputIds.length + rejected.inputIds.length);
}
