import { PREFERENCE_FORMATS, preferenceFormatOf } from './preference-formats.ts';
import { lowerCase, ROW_FORMATS, rowFormatOf } from './row-formats.ts';

/** Whether a record can be read as a row of any task, or has all of `columns`. */
export function isKnownRecord(record: Readonly<Record<string, unknown>>, columns: readonly string[]): boolean {
  const fields = lowerCase(record);
  if (columns.length > 0) return columns.every((name) => fields.has(name.toLowerCase()));
  const row = rowFormatOf(fields);
  const preference = preferenceFormatOf(fields);
  return (
    (row !== undefined && !('reason' in ROW_FORMATS[row].read(fields))) ||
    (preference !== undefined && !('reason' in PREFERENCE_FORMATS[preference].read(fields)))
  );
}

/** Whether a header line of two or more columns names those of any format, or all of `columns`. */
export function isKnownTable(header: readonly string[], columns: readonly string[]): boolean {
  const fields = lowerCase(Object.fromEntries(header.map((name) => [name, ''])));
  if (header.length < 2) return false;
  if (columns.length > 0) return columns.every((name) => fields.has(name.toLowerCase()));
  return rowFormatOf(fields) !== undefined || preferenceFormatOf(fields) !== undefined;
}
