import { brotliCompressSync, gzipSync } from 'node:zlib';
import type { SchemaElement } from 'hyparquet';
import { parquetWriteBuffer } from 'hyparquet-writer';

/** Parquet files of rows of text, for tests: made here, so that no fetched file is needed. */
export function parquetOf(
  rows: readonly Readonly<Record<string, unknown>>[],
  { codec = 'UNCOMPRESSED', rowGroupSize = 1000 }: { codec?: FixtureCodec; rowGroupSize?: number } = {},
): Uint8Array {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const columnData = names.map((name) => {
    const data = rows.map((row) => row[name]);
    const text = data.every((value) => typeof value === 'string' || value === undefined || value === null);
    return { name, data, ...(text ? { type: 'STRING' as const } : {}) };
  });
  return new Uint8Array(parquetWriteBuffer({ columnData, codec, rowGroupSize, compressors: { ...COMPRESSORS } }));
}

/** A file whose columns hold lists of turns, as conversations are published. */
export function turnsParquet(columns: Readonly<Record<string, readonly (readonly FixtureTurn[])[]>>): Uint8Array {
  const text = { type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' } as const;
  const schema: SchemaElement[] = [{ name: 'root', num_children: Object.keys(columns).length }];
  for (const name of Object.keys(columns)) {
    schema.push(
      { name, repetition_type: 'OPTIONAL', num_children: 1, converted_type: 'LIST' },
      { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
      { name: 'element', repetition_type: 'OPTIONAL', num_children: 2 },
      { name: 'role', ...text },
      { name: 'content', ...text },
    );
  }
  const columnData = Object.entries(columns).map(([name, data]) => ({ name, data: [...data] }));
  return new Uint8Array(parquetWriteBuffer({ columnData, schema }));
}

export interface FixtureTurn {
  readonly role: string;
  readonly content: string;
}

const COMPRESSORS = {
  GZIP: (input: Uint8Array) => new Uint8Array(gzipSync(input)),
  BROTLI: (input: Uint8Array) => new Uint8Array(brotliCompressSync(input)),
  ZSTD: rawZstd,
} as const;
export type FixtureCodec = 'UNCOMPRESSED' | 'SNAPPY' | keyof typeof COMPRESSORS;

/** A Zstandard frame (RFC 8878) of raw blocks: a frame as any other to a reader, without an encoder. */
function rawZstd(input: Uint8Array): Uint8Array<ArrayBuffer> {
  const size = new Uint8Array(4);
  new DataView(size.buffer).setUint32(0, input.length, true);
  const parts: Uint8Array[] = [Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0xa0), size]; // single segment, four bytes of content size
  const block = 2 ** 17;
  for (let start = 0; start < input.length || start === 0; start += block) {
    const content = input.subarray(start, start + block);
    const header = (content.length << 3) | (start + block >= input.length ? 1 : 0);
    parts.push(Uint8Array.of(header & 255, (header >> 8) & 255, header >> 16), content);
  }
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}
