/** How a file holds its records. */
export type Container = 'json' | 'jsonl' | 'csv' | 'tsv' | 'parquet' | 'text';

/** One record of a data file: its fields, or why it could not be read. `line` is where it begins, from 1. */
export type DataRecord =
  | { readonly line: number; readonly fields: Readonly<Record<string, unknown>> }
  | { readonly line: number; readonly reason: string };

/** What a container's reader gives: records in file order, and the number of blank ones that it skipped. */
export interface Records {
  readonly records: readonly DataRecord[];
  readonly emptyRows: number;
}

/** Longer records are rejected: they are nearly always a damaged file, and would stall a page. */
export const MAX_RECORD_BYTES = 2 ** 20;

/** Stands for what columns of one name hold where they differ: nobody can say which is meant. */
export const AMBIGUOUS = Symbol('columns of one name that differ');

export const NEWLINE = 10;
export const RETURN = 13;

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Text of one record, or why it has none. */
export function recordText(bytes: Uint8Array): { readonly text: string } | { readonly reason: string } {
  if (bytes.byteLength > MAX_RECORD_BYTES) return { reason: tooLong(bytes.byteLength) };
  try {
    return { text: decoder.decode(bytes) };
  } catch {
    return { reason: INVALID_UTF8 };
  }
}

export const INVALID_UTF8 = 'is not valid UTF-8';

export function tooLong(bytes: number): string {
  return `is ${bytes} bytes long, expected at most ${MAX_RECORD_BYTES}`;
}

/** The byte that ends a line: LF (also in CRLF), or CR in a file that has no LF at all. */
export function lineEndOf(bytes: Uint8Array): number {
  return bytes.indexOf(NEWLINE) === -1 && bytes.includes(RETURN) ? RETURN : NEWLINE;
}

/** Nothing but spaces, tabs and line ends. */
export function isBlank(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 32 || (byte >= 9 && byte <= 13));
}
