/** How a file holds its records. */
export type Container = 'json' | 'jsonl' | 'csv' | 'tsv';

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

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Text of one record, or why it has none. */
export function recordText(bytes: Uint8Array): { readonly text: string } | { readonly reason: string } {
  if (bytes.byteLength > MAX_RECORD_BYTES) {
    return { reason: `is ${bytes.byteLength} bytes long, expected at most ${MAX_RECORD_BYTES}` };
  }
  try {
    return { text: decoder.decode(bytes) };
  } catch {
    return { reason: 'is not valid UTF-8' };
  }
}

/** The file as UTF-8 without a byte order mark; UTF-16 with a byte order mark is converted. */
export function toUtf8(bytes: Uint8Array): Uint8Array {
  const [a, b, c] = bytes;
  if (a === 0xef && b === 0xbb && c === 0xbf) return bytes.subarray(3);
  if (a === 0xff && b === 0xfe) return new TextEncoder().encode(new TextDecoder('utf-16le').decode(bytes));
  if (a === 0xfe && b === 0xff) return new TextEncoder().encode(new TextDecoder('utf-16be').decode(bytes));
  return bytes;
}

/** Nothing but spaces, tabs and line ends. */
export function isBlank(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 32 || (byte >= 9 && byte <= 13));
}
