import {
  type DataRow,
  PREFERENCE_FORMATS,
  type PreferenceRow,
  parseDataset,
  parsePreferences,
  type RejectedRow,
  ROW_FORMATS,
  type RunConfig,
  type TokeniseOptions,
  tokenizePairs,
  tokenizeRows,
} from '@cotune/fl-core';
import type { PreferencePair, TokenizedExample } from '@cotune/kernels';
import type { ColumnChoice } from './columns.ts';

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
  if (task === 'dpo') {
    const mapping = columns
      ? { prompt: columns.prompt, chosen: columns.chosen, rejected: columns.rejected }
      : undefined;
    const { rows, format, rejected, emptyRows, duplicateRows } = await parsePreferences(bytes, { fileName, mapping });
    const label = format === null || format === 'mapping' ? null : PREFERENCE_FORMATS[format].label;
    return { task, rows, format: label, rejected, emptyRows, duplicateRows, answerCounts: null };
  }
  const mapping = columns ? { prompt: columns.prompt, response: columns.response } : undefined;
  const { rows, format, rejected, card } = await parseDataset(bytes, { fileName, mapping });
  const answerCounts = card.responseCounts?.map(({ response, count }) => ({ answer: response, count })) ?? null;
  const { emptyRows, duplicateRows } = card;
  const label = format === null || format === 'mapping' ? null : ROW_FORMATS[format].label;
  return { task, rows, format: label, rejected, emptyRows, duplicateRows, answerCounts };
}

/** How rows become tokens. */
export interface TokeniseConfig extends TokeniseOptions, Pick<RunConfig, 'dpo'> {}

export interface TokenisedRows {
  readonly data: TrainingData;
  /** The rows that were kept: kept.rows[i] became example or pair i. */
  readonly kept: TaskRows;
  readonly rejected: readonly RejectedRow[];
  readonly truncatedRows: number;
}

/** Rows as the model takes them, cut and templated as `config` says. Nothing usable gives no examples, not an error. */
export function tokeniseTraining(given: TaskRows, { dpo, ...options }: TokeniseConfig): TokenisedRows {
  if (given.task === 'dpo') {
    const { maxPromptLength } = dpo;
    const { pairs, rows, ...rest } = tokenizePairs(given.rows, { ...options, maxPromptLength });
    return { data: { task: 'dpo', pairs }, kept: { task: 'dpo', rows }, ...rest };
  }
  const { examples, rows, ...rest } = tokenizeRows(given.rows, options);
  return { data: { task: 'sft', examples }, kept: { task: 'sft', rows }, ...rest };
}

/** Rows that a round can draw from: examples, or pairs. */
export function rowCount(data: TrainingData): number {
  return data.task === 'dpo' ? data.pairs.length : data.examples.length;
}

/** Tokens of each example, of a pair those of its longer sequence; and of all that the model reads in one pass over them. */
export function tokenLengths(data: TrainingData): { readonly lengths: readonly number[]; readonly total: number } {
  const sequences =
    data.task === 'sft'
      ? data.examples.map(({ inputIds }) => [inputIds.length])
      : data.pairs.map(({ chosen, rejected }) => [chosen.inputIds.length, rejected.inputIds.length]);
  return { lengths: sequences.map((own) => Math.max(...own)), total: sequences.flat().reduce((sum, n) => sum + n, 0) };
}
