import { type PreferenceCard, preferenceCard } from './card.ts';
import { checkColumns, listed, type PreferenceMapping } from './columns.ts';
import { DataError } from './error.ts';
import { importRows } from './import-rows.ts';
import type { ParseOptions } from './parse-dataset.ts';
import {
  PREFERENCE_FORMATS,
  type PreferenceFormatId,
  type PreferenceText,
  preferenceFormatOf,
} from './preference-formats.ts';
import { readFileRecords } from './read-records.ts';
import type { RejectedRow } from './row.ts';
import type { Fields } from './row-formats.ts';

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
  /** The format of most rows, `mapping` when one was given, or null when no row could be used. */
  readonly format: PreferenceFormatId | 'mapping' | null;
  readonly rows: readonly PreferenceRow[];
  readonly rejected: readonly RejectedRow[];
  readonly emptyRows: number;
  readonly duplicateRows: number;
  readonly card: PreferenceCard;
}

/**
 * Reads a data file of preference pairs for DPO: any container of readFileRecords, any format of PREFERENCE_FORMATS.
 * A row that cannot be used is rejected with its line and reason and never stops the rest; of identical rows the first is
 * kept. Throws DataError as parseDataset does.
 */
export async function parsePreferences(
  bytes: Uint8Array,
  options: Omit<ParseOptions, 'responseNames'>,
): Promise<PreferenceDataset> {
  const { fileName } = options;
  const mapping = ownMapping(options);
  const mapped = mapping ? [mapping.prompt, mapping.chosen, mapping.rejected] : [];
  const { records, emptyRows } = await readFileRecords(bytes, fileName, { columns: mapped });
  checkColumns(records, mapped, fileName);
  type Text = Exclude<PreferenceText, { reason: string }>;
  const { rows, rejected, duplicateRows, format } = importRows<Text, PreferenceFormatId>(records, options, {
    read: (fields) => readRow(mapping ? renamed(fields, mapping) : fields),
    key: ({ turns, chosen, rejected }, by) => (by === 'row' ? [turns, chosen, rejected] : turns),
  });
  return {
    format: rows.length > 0 && mapping ? 'mapping' : format,
    rows,
    rejected,
    emptyRows,
    duplicateRows,
    card: preferenceCard(rows, { rejected, emptyRows, duplicateRows }),
  };
}

function ownMapping({ mapping, fileName }: Pick<ParseOptions, 'mapping' | 'fileName'>): PreferenceMapping | undefined {
  if (!mapping || 'chosen' in mapping) return mapping;
  throw new DataError(
    'unknown-column',
    `${fileName}: the mapping names a prompt and a response; preference pairs expect prompt, chosen and rejected`,
  );
}

function renamed(fields: Fields, mapping: PreferenceMapping): Fields {
  const names = ['prompt', 'chosen', 'rejected'] as const;
  return new Map(names.map((name) => [name, fields.get(mapping[name].trim().toLowerCase())]));
}

function readRow(fields: Fields): { format?: PreferenceFormatId; text: PreferenceText } {
  const format = preferenceFormatOf(fields);
  if (!format) {
    return {
      text: { reason: `has the fields ${listed([...fields.keys()])}, expected prompt, chosen and rejected as text` },
    };
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
