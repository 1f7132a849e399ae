import { type ParseOptions, parseDataset } from './parse-dataset.ts';
import { type PreferenceRow, parsePreferences } from './parse-preferences.ts';
import { PREFERENCE_FORMATS } from './preference-formats.ts';
import type { DataRow, RejectedRow } from './row.ts';
import { ROW_FORMATS } from './row-formats.ts';
import { type TokeniseOptions, type TokenizedRow, tokenizeRows } from './tokenise.ts';
import { type TokenisePairOptions, type TokenizedPair, tokenizePairs } from './tokenise-preference.ts';
import type { Tokenizer } from './tokenizer.ts';

// What differs between the tasks on the way from a file to tokens, for whoever trains or evaluates.

/** Rows as they were read, before any model. */
export type TaskRows =
  | { readonly task: 'sft'; readonly rows: readonly DataRow[] }
  | { readonly task: 'dpo'; readonly rows: readonly PreferenceRow[] };

export type ParsedRows = TaskRows & {
  /** Label of the format of most rows; null when no row could be used or the columns were chosen. */
  readonly format: string | null;
  readonly rejected: readonly RejectedRow[];
  readonly emptyRows: number;
  readonly duplicateRows: number;
  /** How often each answer occurs, most often first; null where there are many, or pairs of them. */
  readonly answerCounts: readonly { readonly answer: string; readonly count: number }[] | null;
};

/** What a model is trained on; it never leaves the machine of its owner. */
export type TrainingData =
  | { readonly task: 'sft'; readonly examples: readonly TokenizedRow[] }
  | { readonly task: 'dpo'; readonly pairs: readonly TokenizedPair[] };

/** A data file in any format of the task. Bad rows are rejected with their line; throws DataError for a file that is none. */
export async function parseRows(task: TaskRows['task'], bytes: Uint8Array, options: ParseOptions): Promise<ParsedRows> {
  if (task === 'dpo') {
    const { rows, format, rejected, emptyRows, duplicateRows } = await parsePreferences(bytes, options);
    const label = format === null || format === 'mapping' ? null : PREFERENCE_FORMATS[format].label;
    return { task, rows, format: label, rejected, emptyRows, duplicateRows, answerCounts: null };
  }
  const { rows, format, rejected, card } = await parseDataset(bytes, options);
  const { emptyRows, duplicateRows } = card;
  const answerCounts = card.responseCounts?.map(({ response, count }) => ({ answer: response, count })) ?? null;
  const label = format === null || format === 'mapping' ? null : ROW_FORMATS[format].label;
  return { task, rows, format: label, rejected, emptyRows, duplicateRows, answerCounts };
}

/** How rows become tokens: a run's configuration with its template opened (`openTemplate`). */
export interface TokeniseConfig extends Pick<TokeniseOptions, 'template' | 'maxSeqLength'> {
  readonly dpo: Pick<TokenisePairOptions, 'maxPromptLength'>;
}

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

/** The rows at these indices, in their order. Throws RangeError for an index without a row. */
export function selectRows(given: TaskRows, indices: readonly number[]): TaskRows {
  const of = <Row>(rows: readonly Row[]): Row[] =>
    indices.map((index) => {
      const row = rows[index];
      if (row === undefined) throw new RangeError(`row ${index} of ${rows.length}`);
      return row;
    });
  return given.task === 'dpo' ? { task: 'dpo', rows: of(given.rows) } : { task: 'sft', rows: of(given.rows) };
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
