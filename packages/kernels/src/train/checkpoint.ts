import { sha256Hex } from '../quantize/sha256.ts';
import type { OptimizerState } from './optimizer.ts';

/** A point from which training goes on as if it had never stopped. Dropout masks and rows follow from the step. */
export interface Checkpoint<Record> {
  /** Fingerprint of the work so far; a checkpoint of other work is never taken up. */
  readonly job: string;
  /** Steps taken. */
  readonly step: number;
  readonly adapter: Float32Array;
  readonly optimizer: OptimizerState;
  /** What every step so far reported. */
  readonly records: readonly Record[];
}

/** One slot that survives the process: a file, OPFS. `set` replaces the whole value or leaves the old one. */
export interface CheckpointStore {
  get(): Promise<Uint8Array | undefined>;
  set(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  delete(): Promise<void>;
}

const FORMAT = 'cotune-checkpoint-1';
const HASH_BYTES = 64; // hex

/**
 * Layout: SHA-256 (64 hex characters) of all that follows, u32 length of a JSON head, the head, padding to 4 bytes, then
 * adapter, m and v as little-endian f32.
 */
export async function encodeCheckpoint(checkpoint: Checkpoint<unknown>): Promise<Uint8Array<ArrayBuffer>> {
  const { job, step, records, adapter, optimizer } = checkpoint;
  const head = new TextEncoder().encode(
    JSON.stringify({ format: FORMAT, job, step, t: optimizer.t, length: adapter.length, records }),
  );
  const start = vectorsAt(head.length);
  const bytes = new Uint8Array(start + 3 * adapter.byteLength);
  new DataView(bytes.buffer).setUint32(HASH_BYTES, head.length, true);
  bytes.set(head, HASH_BYTES + 4);
  [adapter, optimizer.m, optimizer.v].forEach((vector, i) => {
    bytes.set(new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength), start + i * adapter.byteLength);
  });
  bytes.set(new TextEncoder().encode(await sha256Hex(bytes.subarray(HASH_BYTES))));
  return bytes;
}

/** The checkpoint, of whatever work, or undefined when the bytes are damaged, torn or of another version. */
export async function decodeCheckpoint<Record>(stored: Uint8Array): Promise<Checkpoint<Record> | undefined> {
  const bytes = new Uint8Array(stored); // aligned, and of its own
  if (bytes.length < HASH_BYTES + 4) return undefined;
  const hash = new TextDecoder().decode(bytes.subarray(0, HASH_BYTES));
  if (hash !== (await sha256Hex(bytes.subarray(HASH_BYTES)))) return undefined;
  const headBytes = new DataView(bytes.buffer).getUint32(HASH_BYTES, true);
  const text = new TextDecoder().decode(bytes.subarray(HASH_BYTES + 4, HASH_BYTES + 4 + headBytes));
  const head = JSON.parse(text) as Head<Record>; // what was hashed was written by encodeCheckpoint
  if (head.format !== FORMAT) return undefined;
  const start = vectorsAt(headBytes);
  const vector = (i: number) => new Float32Array(bytes.buffer, start + i * head.length * 4, head.length);
  const optimizer = { m: vector(1), v: vector(2), t: head.t };
  return { job: head.job, step: head.step, records: head.records, adapter: vector(0), optimizer };
}

interface Head<Record> {
  readonly format: string;
  readonly job: string;
  readonly step: number;
  readonly t: number;
  readonly length: number;
  readonly records: readonly Record[];
}

function vectorsAt(headBytes: number): number {
  return Math.ceil((HASH_BYTES + 4 + headBytes) / 4) * 4;
}

/** Writes the latest checkpoint offered, one at a time: a slow disk skips some rather than hold training up. */
export function createCheckpointWriter(store: CheckpointStore | undefined, onError: (error: unknown) => void) {
  let waiting: Checkpoint<unknown> | undefined;
  let writing: Promise<void> | undefined;
  const write = async (): Promise<void> => {
    for (let next = waiting; next && store; next = waiting) {
      waiting = undefined;
      await store.set(await encodeCheckpoint(next)).catch(onError);
    }
    writing = undefined;
  };
  return {
    offer(checkpoint: Checkpoint<unknown>): void {
      if (!store) return;
      waiting = checkpoint;
      writing ??= write();
    },
    /** Resolves when what was offered last is stored. */
    flush: async (): Promise<void> => writing,
  };
}
