import { type ParseOptions, type RunConfig, readFileRecords } from '@cotune/fl-core';

/** What a training row is made of, by task, in the order in which the owner is asked. */
export const COLUMN_ROLES = {
  sft: ['prompt', 'response'],
  dpo: ['prompt', 'chosen', 'rejected'],
} as const satisfies Record<RunConfig['task'], readonly string[]>;
export type ColumnRole = (typeof COLUMN_ROLES)[RunConfig['task']][number];

/** The columns that the owner picked; those that the task does not ask for are empty. */
export type ColumnChoice = Readonly<Record<ColumnRole, string>>;
export const NO_COLUMNS: ColumnChoice = { prompt: '', response: '', chosen: '', rejected: '' };

/** The picked columns as a reader of the task takes them. */
export function mappingOf(task: RunConfig['task'], columns: ColumnChoice): ParseOptions['mapping'] {
  const { prompt, response, chosen, rejected } = columns;
  return task === 'dpo' ? { prompt, chosen, rejected } : { prompt, response };
}

/** A column of a file, with a few of its values. */
export interface FileColumn {
  readonly name: string;
  readonly samples: readonly string[];
}

const MAX_COLUMNS = 60;
const SEARCHED_ROWS = 200;
const SAMPLES = 3;
const SAMPLE_CHARS = 120;

/** The columns of a data file in order of their first appearance. Throws DataError for a file that holds no records. */
export async function fileColumns(bytes: Uint8Array, fileName: string): Promise<readonly FileColumn[]> {
  const { records } = await readFileRecords(bytes, fileName);
  const columns = new Map<string, string[]>();
  for (const record of records.slice(0, SEARCHED_ROWS)) {
    if (!('fields' in record)) continue;
    for (const [given, value] of Object.entries(record.fields)) {
      const name = given.trim();
      if (name === '' || (columns.size >= MAX_COLUMNS && !columns.has(name))) continue;
      const samples = columns.get(name) ?? [];
      columns.set(name, samples);
      const text = sampleText(value);
      if (text !== '' && samples.length < SAMPLES && !samples.includes(text)) samples.push(text);
    }
  }
  return [...columns].map(([name, samples]) => ({ name, samples }));
}

function sampleText(value: unknown): string {
  if (value === null || value === undefined) return '';
  const text = (typeof value === 'object' ? JSON.stringify(value, noBigInt) : String(value)).trim();
  return text.length > SAMPLE_CHARS ? `${text.slice(0, SAMPLE_CHARS - 1)}…` : text;
}

/** Parquet's 64-bit integers have no JSON of their own. */
const noBigInt = (_: string, value: unknown) => (typeof value === 'bigint' ? String(value) : value);
