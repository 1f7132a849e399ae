import type { ParseOptions } from './parse-dataset.ts';
import {
  PREFERENCE_FORMATS,
  type PreferenceFormatId,
  type PreferenceText,
  preferenceFormatOf,
} from './preference-formats.ts';
import { readFileRecords } from './read-records.ts';
import type { RejectedRow } from './row.ts';
import { lowerCase } from './row-formats.ts';

/** A dialogue and two answers to its last question, of which one was preferred. */
export interface PreferenceRow {
  /** Questions and answers in turn, beginning and ending with a question. */
  readonly turns: readonly string[];
  readonly chosen: string;
  readonly rejected: string;
  /** Where the row begins in its file, from 1. */
  readonly line: number;
  /** Values of the columns that were asked for (`keepColumns`), as text. */
  readonly columns?: Readonly<Record<string, string>>;
}

export interface PreferenceDataset {
  /** The format of most rows, or null when no row could be used. */
  readonly format: PreferenceFormatId | null;
  readonly rows: readonly PreferenceRow[];
  readonly rejected: readonly RejectedRow[];
  readonly emptyRows: number;
  readonly duplicateRows: number;
}

/**
 * Reads a data file of preference pairs for DPO: a JSON array, JSON Lines, CSV or TSV, in any format of PREFERENCE_FORMATS.
 * A row that cannot be used is rejected with its line and reason and never stops the rest; of identical rows the first is
 * kept. Throws DataError 'empty-file' or 'unsupported-format'.
 */
export async function parsePreferences(
  bytes: Uint8Array,
  { fileName }: Pick<ParseOptions, 'fileName' | 'keepColumns'>,
): Promise<PreferenceDataset> {
  const { records, emptyRows } = readFileRecords(bytes, fileName);
  const rows: PreferenceRow[] = [];
  const rejected: RejectedRow[] = [];
  const formats = new Map<PreferenceFormatId, number>();
  const seen = new Set<string>();
  let duplicateRows = 0;
  for (const record of records) {
    if ('reason' in record) {
      rejected.push(record);
      continue;
    }
    const { format, text } = readRow(record.fields);
    if ('reason' in text) {
      rejected.push({ line: record.line, reason: text.reason });
      continue;
    }
    const key = JSON.stringify([text.turns, text.chosen, text.rejected]);
    if (seen.has(key)) duplicateRows++;
    else {
      seen.add(key);
      rows.push({ ...text, line: record.line });
      if (format) formats.set(format, (formats.get(format) ?? 0) + 1);
    }
  }
  const [most] = [...formats].sort((a, b) => b[1] - a[1]);
  return { format: most?.[0] ?? null, rows, rejected, emptyRows, duplicateRows };
}

function readRow(record: Readonly<Record<string, unknown>>): { format?: PreferenceFormatId; text: PreferenceText } {
  const fields = lowerCase(record);
  const format = preferenceFormatOf(fields);
  if (!format) {
    const names = [...fields.keys()].slice(0, 8).join(', ');
    return { text: { reason: `has the fields ${names || '(none)'}, expected prompt, chosen and rejected as text` } };
  }
  const text = PREFERENCE_FORMATS[format].read(fields);
  if ('reason' in text) return { text };
  if (text.turns.some((turn) => turn.trim() === '')) return { text: { reason: 'has an empty turn' } };
  for (const name of ['chosen', 'rejected'] as const) {
    if (text[name].trim() === '') return { text: { reason: `${name} is empty` } };
  }
  if (text.chosen === text.rejected) return { text: { reason: 'chosen and rejected are the same' } };
  return { format, text };
}
