import { jsonText } from './conversation.ts';
import { DataError } from './error.ts';
import { AMBIGUOUS, type DataRecord } from './records.ts';

/** Which columns to read, when the file's own names say nothing. Names match without regard to case. */
export interface ColumnMapping {
  readonly prompt: string;
  readonly response: string;
}

/** As ColumnMapping, for preference pairs. The answers may be texts, turns or lists of turns. */
export interface PreferenceMapping {
  readonly prompt: string;
  readonly chosen: string;
  readonly rejected: string;
}

type Fields = Readonly<Record<string, unknown>>;

/** Every column of the records, in order of first appearance, as they are written. */
function columnsOf(records: readonly DataRecord[]): string[] {
  const found = new Set<string>();
  for (const record of records) {
    if ('fields' in record) for (const name in record.fields) found.add(name.trim());
    if (found.size > MAX_COLUMNS) break;
  }
  return [...found];
}

const MAX_COLUMNS = 1000;
const SHOWN_COLUMNS = 8;

/** Throws DataError 'unknown-column' for a name that no record has. */
export function checkColumns(records: readonly DataRecord[], names: readonly string[], fileName: string): void {
  if (names.length === 0) return;
  const found = columnsOf(records);
  const lower = new Set(found.map((name) => name.toLowerCase()));
  const missing = names.find((name) => !lower.has(name.trim().toLowerCase()));
  if (missing !== undefined) {
    throw new DataError('unknown-column', `${fileName}: has no column ${missing}; got ${listed(found)}`);
  }
}

/** Names of columns for a message. What looks like data rather than a name (a table without a header line) is only counted. */
export function listed(names: readonly string[]): string {
  const shown = names.filter(
    (name) => /^[\p{L}_][\p{L}\p{N}_.-]*( [\p{L}\p{N}_.-]+){0,2}$/u.test(name) && name.length <= 32,
  );
  const first = shown.slice(0, SHOWN_COLUMNS);
  const others = names.length - first.length;
  if (first.length === 0) return names.length === 0 ? 'none' : `${names.length} that are no names`;
  return others > 0 ? `${first.join(', ')} and ${others} more` : first.join(', ');
}

/** A record without the columns that are to be dropped. */
export function withoutColumns(fields: Fields, dropped: ReadonlySet<string>): Fields {
  if (dropped.size === 0) return fields;
  return Object.fromEntries(Object.entries(fields).filter(([name]) => !dropped.has(name.trim().toLowerCase())));
}

/** Names as they are compared. */
export function columnSet(names: readonly string[] = []): ReadonlySet<string> {
  return new Set(names.map((name) => name.trim().toLowerCase()));
}

/** The values of the columns that rows keep, as text, under the names that were asked for; missing and ambiguous values are left out. */
export function keptColumns(
  fields: ReadonlyMap<string, unknown>,
  names: readonly string[],
): Readonly<Record<string, string>> | undefined {
  if (names.length === 0) return undefined;
  const kept: [string, string][] = [];
  for (const name of names) {
    const value = fields.get(name.trim().toLowerCase());
    if (value === undefined || value === null || value === AMBIGUOUS) continue;
    if (typeof value === 'number' && !Number.isFinite(value)) continue; // tables have NaN where a number is missing
    const text = typeof value === 'object' ? jsonText(value) : String(value);
    if (text !== undefined) kept.push([name, text]);
  }
  return Object.fromEntries(kept);
}
