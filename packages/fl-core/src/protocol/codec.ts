import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import { FlError } from '../error.ts';
import { crc32 } from './crc32.ts';
import { halfToSingle, singleToHalf } from './half.ts';

/**
 * Vector on the wire, little-endian:
 * 0 magic 'CTV1' · 4 u8 version · 5 u8 dtype (0 = f32, 1 = f16) · 6 u16 zero · 8 u32 round · 12 u32 length ·
 * 16 u32 crc32 of the payload · 20 payload (length × 4 or 2 bytes).
 */
export const VECTOR_HEADER_BYTES = 20;
export const VECTOR_VERSION = 1;
export const VECTOR_DTYPES = ['f32', 'f16'] as const;
export type VectorDtype = (typeof VECTOR_DTYPES)[number];
const MAGIC = [0x43, 0x54, 0x56, 0x31]; // 'CTV1'

/** Size of an encoded vector in bytes. */
export const encodedBytes = (length: number, dtype: VectorDtype): number =>
  VECTOR_HEADER_BYTES + length * (dtype === 'f32' ? 4 : 2);

/**
 * Encodes a vector (length). f16 rounds to nearest even; FlError `not-finite` when a finite value exceeds its range
 * (±65504). NaN and infinity are encoded as they are: who reads an update checks it.
 */
export function encodeVector(
  vector: Float32Array,
  { dtype, round }: { dtype: VectorDtype; round: number },
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(encodedBytes(vector.length, dtype));
  const payload = bytes.subarray(VECTOR_HEADER_BYTES);
  if (dtype === 'f32') {
    new Float32Array(bytes.buffer, VECTOR_HEADER_BYTES).set(vector);
  } else {
    const halves = new Uint16Array(bytes.buffer, VECTOR_HEADER_BYTES);
    for (let i = 0; i < vector.length; i++) {
      const value = vector[i] as number;
      const half = singleToHalf(value);
      if ((half & 0x7fff) === 0x7c00 && Number.isFinite(value)) {
        throw new FlError(
          'not-finite',
          `encodeVector: value ${value} at ${i} does not fit f16 (±65504); use f32 for this run`,
        );
      }
      halves[i] = half;
    }
  }
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC, 0);
  view.setUint8(4, VECTOR_VERSION);
  view.setUint8(5, VECTOR_DTYPES.indexOf(dtype));
  view.setUint32(8, round, true);
  view.setUint32(12, vector.length, true);
  view.setUint32(16, crc32(payload), true);
  return bytes;
}

export interface DecodedVector {
  /** (length), on its own aligned buffer. */
  readonly vector: Float32Array<ArrayBuffer>;
  readonly round: number;
  readonly dtype: VectorDtype;
}

/**
 * Decodes what `encodeVector` wrote, from bytes of any alignment. FlError `invalid` for another format, `wrong-shape`
 * for a size that does not match the header, `wrong-hash` for a damaged payload.
 */
export function decodeVector(bytes: Uint8Array): DecodedVector {
  const { dtype, length, round, payloadCrc32 } = readVectorHeader(bytes);
  if (bytes.length !== encodedBytes(length, dtype)) {
    throw new FlError(
      'wrong-shape',
      `decodeVector: got ${bytes.length} bytes for ${length} ${dtype} values, expected ${encodedBytes(length, dtype)}`,
    );
  }
  const payload = bytes.subarray(VECTOR_HEADER_BYTES);
  if (crc32(payload) !== payloadCrc32) {
    throw new FlError('wrong-hash', 'decodeVector: the payload does not match its crc32; transfer it again');
  }
  return { vector: decodePayload(payload, dtype), round, dtype };
}

/** Values of a whole payload or of a slice of one, from bytes of any alignment. */
export function decodePayload(payload: Uint8Array, dtype: VectorDtype): Float32Array<ArrayBuffer> {
  // A copy: sockets deliver views at odd offsets of a larger buffer.
  const aligned = new Uint8Array(payload).buffer;
  return dtype === 'f32' ? new Float32Array(aligned) : halvesToSingles(new Uint16Array(aligned));
}

export interface VectorHeader {
  readonly dtype: VectorDtype;
  readonly length: number;
  readonly round: number;
  readonly payloadCrc32: number;
}

/** The first VECTOR_HEADER_BYTES of an encoded vector. FlError `invalid` for another format, `wrong-shape` when cut. */
export function readVectorHeader(bytes: Uint8Array): VectorHeader {
  if (bytes.length < VECTOR_HEADER_BYTES) {
    throw new FlError(
      'wrong-shape',
      `vector header: got ${bytes.length} bytes, expected at least ${VECTOR_HEADER_BYTES}`,
    );
  }
  if (MAGIC.some((byte, i) => bytes[i] !== byte)) {
    throw new FlError('invalid', 'vector header: the bytes do not begin with CTV1; expected an encoded vector');
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = view.getUint8(4);
  if (version !== VECTOR_VERSION) {
    throw new FlError(
      'invalid',
      `vector header: got format version ${version}, expected ${VECTOR_VERSION}; update this side`,
    );
  }
  const dtype = VECTOR_DTYPES[view.getUint8(5)];
  if (dtype === undefined || view.getUint16(6, true) !== 0) {
    throw new FlError('invalid', `vector header: got dtype code ${view.getUint8(5)}, expected 0 (f32) or 1 (f16)`);
  }
  const payloadCrc32 = view.getUint32(16, true);
  return { dtype, length: view.getUint32(12, true), round: view.getUint32(8, true), payloadCrc32 };
}

function halvesToSingles(halves: Uint16Array): Float32Array<ArrayBuffer> {
  const vector = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) vector[i] = halfToSingle(halves[i] as number);
  return vector;
}

/** Lower-case hex SHA-256. */
export const sha256Hex = (bytes: Uint8Array): string => bytesToHex(sha256(bytes));

/** Flags as base64, eight a byte, the first in the least significant bit. */
export function encodeBitmap(flags: readonly boolean[]): string {
  const bytes = new Uint8Array(Math.ceil(flags.length / 8));
  flags.forEach((flag, i) => {
    if (flag) bytes[i >> 3] = (bytes[i >> 3] as number) | (1 << (i & 7));
  });
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
}

/** The reverse. FlError `invalid` unless `text` is base64 of exactly `count` flags (rounded up to a byte). */
export function decodeBitmap(text: string, count: number): boolean[] {
  let binary: string;
  try {
    binary = atob(text);
  } catch {
    throw new FlError('invalid', 'decodeBitmap: got text that is not base64');
  }
  if (binary.length !== Math.ceil(count / 8)) {
    throw new FlError(
      'invalid',
      `decodeBitmap: got ${binary.length} bytes, expected ${Math.ceil(count / 8)} for ${count} flags`,
    );
  }
  return Array.from({ length: count }, (_, i) => ((binary.charCodeAt(i >> 3) >> (i & 7)) & 1) === 1);
}
