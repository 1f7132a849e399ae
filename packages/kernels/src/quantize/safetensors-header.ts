import { ModelFileError } from './error.ts';
import { parseJson, readExactly, sizeOf } from './read-file.ts';
import type { FileSource } from './source.ts';

/** The format's own limit on the JSON header. */
export const MAX_HEADER_BYTES = 100_000_000;

const BITS: Readonly<Record<string, number>> = {
  F64: 64,
  I64: 64,
  U64: 64,
  F32: 32,
  I32: 32,
  U32: 32,
  F16: 16,
  BF16: 16,
  I16: 16,
  U16: 16,
  I8: 8,
  U8: 8,
  BOOL: 8,
  F8_E4M3: 8,
  F8_E5M2: 8,
  F8_E8M0: 8,
};

export interface SafetensorsEntry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly file: string;
  /** Byte range [begin, end) in the file. */
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  /** In the order of their bytes. */
  readonly entries: readonly SafetensorsEntry[];
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * Reads and checks the header of one safetensors file: u64 header length, JSON, then tensor bytes that cover the rest
 * without holes or overlaps (https://github.com/huggingface/safetensors#format).
 * Throws ModelFileError 'missing-file', 'truncated', 'malformed' or 'unsupported-dtype'.
 */
export async function readSafetensorsHeader(source: FileSource, file: string): Promise<SafetensorsHeader> {
  const fileBytes = await sizeOf(source, file);
  if (fileBytes < 8) {
    throw new ModelFileError('truncated', file, `got ${fileBytes} bytes, expected at least 8; download the file again`);
  }
  const lengthBytes = await readExactly(source, file, 0, 8);
  const headerBytes = new DataView(lengthBytes.buffer, lengthBytes.byteOffset, 8).getBigUint64(0, true);
  if (headerBytes > BigInt(MAX_HEADER_BYTES)) {
    throw new ModelFileError(
      'malformed',
      file,
      `header of ${headerBytes} bytes, expected at most ${MAX_HEADER_BYTES}; is this a safetensors file?`,
    );
  }
  const dataStart = 8 + Number(headerBytes);
  if (dataStart > fileBytes) {
    throw new ModelFileError(
      'truncated',
      file,
      `got ${fileBytes} bytes, expected a header up to byte ${dataStart}; download the file again`,
    );
  }
  const text = new TextDecoder().decode(await readExactly(source, file, 8, dataStart));
  const json = parseJson(text, file);
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new ModelFileError('malformed', file, 'header is not a JSON object');
  }
  const { __metadata__: metadata = {}, ...tensors } = json as Record<string, unknown>;
  const entries = Object.entries(tensors)
    .map(([name, raw]) => parseEntry(name, raw, file, dataStart))
    .sort((x, y) => x.begin - y.begin || x.end - y.end);
  checkCoverage(entries, file, dataStart, fileBytes);
  return { entries, metadata: metadata as Record<string, string> };
}

function parseEntry(name: string, raw: unknown, file: string, dataStart: number): SafetensorsEntry {
  const { dtype, shape, data_offsets: offsets } = (raw ?? {}) as Record<string, unknown>;
  if (typeof dtype !== 'string' || !isCounts(shape) || !isCounts(offsets) || offsets.length !== 2) {
    throw new ModelFileError('malformed', file, `tensor ${name}: expected dtype, shape and two data_offsets`);
  }
  const bits = BITS[dtype];
  if (bits === undefined) {
    throw new ModelFileError(
      'unsupported-dtype',
      file,
      `tensor ${name}: got dtype ${dtype}, expected F32, F16 or BF16`,
    );
  }
  const [begin, end] = offsets as [number, number];
  const expected = (shape.reduce((product, n) => product * n, 1) * bits) / 8;
  if (end - begin !== expected) {
    throw new ModelFileError(
      'malformed',
      file,
      `tensor ${name}: got ${end - begin} bytes, expected ${expected} for ${dtype} [${shape}]`,
    );
  }
  return { name, dtype, shape, file, begin: dataStart + begin, end: dataStart + end };
}

function checkCoverage(entries: readonly SafetensorsEntry[], file: string, dataStart: number, fileBytes: number): void {
  let at = dataStart;
  for (const { name, begin, end } of entries) {
    if (begin !== at) {
      const what = begin < at ? 'overlaps the tensor before it' : `leaves ${begin - at} bytes unused before it`;
      throw new ModelFileError('malformed', file, `tensor ${name} ${what}`);
    }
    at = end;
  }
  if (at > fileBytes) {
    throw new ModelFileError('truncated', file, `got ${fileBytes} bytes, expected ${at}; download the file again`);
  }
  if (at < fileBytes) throw new ModelFileError('malformed', file, `${fileBytes - at} bytes follow the last tensor`);
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);
}
