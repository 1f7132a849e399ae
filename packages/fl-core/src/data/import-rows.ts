import { checkColumns, columnSet, keptColumns, withoutColumns } from './columns.ts';
import type { DataRecord } from './records.ts';
import type { RejectedRow } from './row.ts';
import { type Fields, lowerCase } from './row-formats.ts';

/** What both tasks ask of an import. */
export interface ImportOptions {
  readonly fileName: string;
  /** Columns whose values every row keeps, e.g. the one by which rows are dealt to simulated clients. */
  readonly keepColumns?: readonly string[] | undefined;
  /** Columns that are taken as not being there, e.g. an instruction that is the same in every row. */
  readonly dropColumns?: readonly string[] | undefined;
  /** What makes two rows the same, of which the first is kept: all of their text (the default), the prompt alone, or nothing. */
  readonly dedupe?: 'row' | 'prompt' | 'none' | undefined;
}

/** How one task turns fields into text. */
export interface RowReader<Text, FormatId extends string> {
  read(fields: Fields): { readonly format?: FormatId | undefined; readonly text: Text | { readonly reason: string } };
  /** What two rows have in common when they are the same. */
  key(text: Text, by: 'row' | 'prompt'): unknown;
}

export interface Imported<Text, FormatId extends string> {
  readonly rows: readonly (Text & { readonly line: number; readonly columns?: Readonly<Record<string, string>> })[];
  readonly rejected: readonly RejectedRow[];
  readonly duplicateRows: number;
  /** The format of most rows, or null when no row could be used. */
  readonly format: FormatId | null;
}

/** Rows of records: what cannot be used is rejected with its line and reason, and of identical rows the first is kept. */
export function importRows<Text extends object, FormatId extends string>(
  records: readonly DataRecord[],
  { fileName, keepColumns = [], dropColumns, dedupe = 'row' }: ImportOptions,
  reader: RowReader<Text, FormatId>,
): Imported<Text, FormatId> {
  checkColumns(records, keepColumns, fileName);
  const dropped = columnSet(dropColumns);
  const rows: (Text & { line: number; columns?: Readonly<Record<string, string>> })[] = [];
  const rejected: RejectedRow[] = [];
  const formats = new Map<FormatId, number>();
  const seen = new Set<string>();
  let duplicateRows = 0;
  for (const record of records) {
    if ('reason' in record) {
      rejected.push(record);
      continue;
    }
    const { format, text } = reader.read(lowerCase(withoutColumns(record.fields, dropped)));
    if ('reason' in text) {
      rejected.push({ line: record.line, reason: text.reason });
      continue;
    }
    if (dedupe !== 'none') {
      const key = JSON.stringify(reader.key(text, dedupe));
      if (seen.has(key)) {
        duplicateRows++;
        continue;
      }
      seen.add(key);
    }
    const columns = keptColumns(keepColumns.length > 0 ? lowerCase(record.fields) : NO_FIELDS, keepColumns);
    rows.push(columns ? { ...text, line: record.line, columns } : { ...text, line: record.line });
    if (format) formats.set(format, (formats.get(format) ?? 0) + 1);
  }
  const [most] = [...formats].sort((a, b) => b[1] - a[1]);
  return { rows, rejected, duplicateRows, format: most?.[0] ?? null };
}

const NO_FIELDS: Fields = new Map();
