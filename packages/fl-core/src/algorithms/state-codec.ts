import { z } from 'zod';
import { FlError } from '../error.ts';
import type { AlgorithmState } from './algorithm.ts';

const headSchema = z.object({
  numbers: z.record(z.string(), z.number()),
  vectors: z.array(z.tuple([z.string(), z.number().int().nonnegative()])),
});

/** Layout: u32 length of the JSON head, the head {numbers, vectors: [[name, length], …]}, then the vectors as f32, little-endian. */
export function encodeAlgorithmState(state: AlgorithmState): Uint8Array<ArrayBuffer> {
  const names = Object.keys(state.vectors).sort();
  const vectors = names.map((name) => state.vectors[name] as Float32Array);
  const head = new TextEncoder().encode(
    JSON.stringify({ numbers: state.numbers, vectors: names.map((name, i) => [name, vectors[i]?.length]) }),
  );
  const total = vectors.reduce((sum, vector) => sum + vector.byteLength, 4 + head.length);
  const bytes = new Uint8Array(total);
  new DataView(bytes.buffer).setUint32(0, head.length, true);
  bytes.set(head, 4);
  let offset = 4 + head.length;
  for (const vector of vectors) {
    bytes.set(new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength), offset);
    offset += vector.byteLength;
  }
  return bytes;
}

/** The reverse. FlError `invalid` when the bytes are cut, longer than they say, or something else. */
export function decodeAlgorithmState(bytes: Uint8Array): AlgorithmState {
  try {
    const headBytes = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0, true);
    const head = headSchema.parse(JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + headBytes))));
    let offset = 4 + headBytes;
    const vectors: Record<string, Float32Array> = {};
    for (const [name, length] of head.vectors) {
      if (offset + length * 4 > bytes.length) throw new RangeError(`vector ${name} is cut`);
      vectors[name] = new Float32Array(bytes.slice(offset, offset + length * 4).buffer);
      offset += length * 4;
    }
    if (offset !== bytes.length) throw new RangeError(`got ${bytes.length} bytes, expected ${offset}`);
    return { vectors, numbers: head.numbers };
  } catch (error) {
    throw new FlError(
      'invalid',
      `algorithm state: ${(error as Error).message}; expected what encodeAlgorithmState wrote`,
    );
  }
}
