import type { FileMetaData } from 'hyparquet';
import { DataError } from './error.ts';
import { type DataRecord, INVALID_UTF8, MAX_RECORD_BYTES, type Records, tooLong } from './records.ts';

/** A Parquet file may unpack to this much and hold this many rows; more is refused before it is read. */
export const MAX_PARQUET_BYTES = 512 * 2 ** 20;
export const MAX_PARQUET_ROWS = 5_000_000;

export function isParquet(bytes: Uint8Array): boolean {
  return bytes[0] === 0x50 && bytes[1] === 0x41 && bytes[2] === 0x52 && bytes[3] === 0x31; // PAR1
}

/** Stands for bytes that are no text, so that they cost one row and not the column. */
const BAD_TEXT = Symbol('bytes that are not UTF-8');
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function textOf(bytes: Uint8Array | undefined): string | typeof BAD_TEXT | undefined {
  if (bytes === undefined || bytes === null) return undefined;
  try {
    return decoder.decode(bytes);
  } catch {
    return BAD_TEXT;
  }
}

function jsonOf(bytes: Uint8Array | undefined): unknown {
  const text = textOf(bytes);
  if (typeof text !== 'string') return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/**
 * The rows of a Parquet file, plain or compressed with snappy, gzip, brotli, zstd or lz4; `line` is the row's number from
 * 1. A row group that cannot be read is one rejected record and the others are kept. The library is loaded at the first
 * Parquet file. Throws DataError 'damaged' or 'too-large'.
 */
export async function readParquet(bytes: Uint8Array, fileName: string): Promise<Records> {
  const [{ parquetMetadata, parquetReadObjects }, packed, { checkRowGroup }] = await Promise.all([
    import('hyparquet'),
    import('hyparquet-compressors'),
    import('./parquet-guard.ts'),
  ]);
  // Into a buffer of the length that the page states: by itself this one trusts the frame, which may unpack to anything.
  const zstd = (input: Uint8Array, length: number) => packed.decompressZstd(input, new Uint8Array(length));
  const compressors = { ...packed.compressors, ZSTD: zstd };
  const buffer = new Uint8Array(bytes).buffer;
  const file = { byteLength: buffer.byteLength, slice: (start: number, end?: number) => buffer.slice(start, end) };
  let metadata: FileMetaData;
  try {
    metadata = parquetMetadata(buffer);
  } catch {
    throw new DataError('damaged', `${fileName}: is a damaged or incomplete Parquet file; download it again`);
  }
  const groups = groupRows(metadata, fileName);
  const records: DataRecord[] = [];
  let emptyRows = 0;
  let rowStart = 0;
  for (const [g, rows] of groups.entries()) {
    const group = metadata.row_groups[g];
    const rowEnd = rowStart + rows;
    let read: readonly Readonly<Record<string, unknown>>[];
    try {
      if (group) checkRowGroup(buffer, metadata, group, compressors);
      read = await parquetReadObjects({
        file,
        metadata,
        compressors,
        rowStart,
        rowEnd,
        parsers: { stringFromBytes: textOf, jsonFromBytes: jsonOf },
      });
    } catch {
      records.push({ line: rowStart + 1, reason: `begins a damaged row group; its ${rows} rows cannot be read` });
      rowStart = rowEnd;
      continue;
    }
    for (const [i, row] of read.entries()) {
      const record = recordOf(row, rowStart + i + 1);
      if (record) records.push(record);
      else emptyRows++;
    }
    rowStart = rowEnd;
  }
  return { records, emptyRows };
}

/** Rows of each row group. */
function groupRows(metadata: FileMetaData, fileName: string): number[] {
  const groups = metadata.row_groups ?? [];
  const rows = groups.map(({ num_rows }) => Number(num_rows));
  const chunks = groups.flatMap(({ columns }) => columns.map(({ meta_data }) => meta_data));
  const unpacked = chunks.reduce((sum, chunk) => sum + Number(chunk?.total_uncompressed_size ?? 0), 0);
  const allRows = rows.reduce((sum, count) => sum + count, 0);
  if (rows.some((count) => !(count >= 0)) || !(unpacked >= 0)) {
    throw new DataError('damaged', `${fileName}: is a damaged Parquet file; download it again`);
  }
  if (unpacked > MAX_PARQUET_BYTES || allRows > MAX_PARQUET_ROWS) {
    throw new DataError(
      'too-large',
      `${fileName}: holds ${allRows} rows and ${unpacked} bytes unpacked, expected at most ${MAX_PARQUET_ROWS} rows and ` +
        `${MAX_PARQUET_BYTES} bytes; split it into smaller files`,
    );
  }
  return rows;
}

/** One row; undefined when every value is missing. */
function recordOf(row: Readonly<Record<string, unknown>>, line: number): DataRecord | undefined {
  const seen = { chars: 0, bad: false };
  const fields = Object.fromEntries(Object.entries(row).map(([name, value]) => [name, plainValue(value, seen)]));
  if (seen.bad) return { line, reason: INVALID_UTF8 };
  if (seen.chars > MAX_RECORD_BYTES) return { line, reason: tooLong(seen.chars) };
  const blank = Object.values(fields).every((value) => value === undefined || value === null || value === '');
  return blank ? undefined : { line, fields };
}

/** Parquet's values as JSON has them: 64-bit integers as numbers where they fit, times as ISO 8601. */
function plainValue(value: unknown, seen: { chars: number; bad: boolean }): unknown {
  if (typeof value === 'string') {
    seen.chars += value.length;
    return value;
  }
  if (value === BAD_TEXT) {
    seen.bad = true;
    return undefined;
  }
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (value instanceof Uint8Array) return null; // images and other bytes are no part of a row
  if (Array.isArray(value)) return value.map((item) => plainValue(item, seen));
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, plainValue(item, seen)]));
}
