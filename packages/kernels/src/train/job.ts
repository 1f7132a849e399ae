import { sha256Hex } from '../quantize/sha256.ts';
import type { TokenizedExample } from './batch.ts';
import type { OptimizerState } from './optimizer.ts';

/** What decides the trained bits; plain values beside these count by name, but for `steps`. */
export interface JobOptions {
  readonly weights: Float32Array;
  readonly drift?: Float32Array | undefined;
  readonly optimizer?: OptimizerState | undefined;
  readonly batchSize: number;
  readonly startStep?: number;
}

/** Names the work behind a checkpoint. */
export interface Job {
  /**
   * SHA-256 of everything that decided the bits after `step` steps: start, drift, moments, the plain options and the rows taken
   * so far. How many steps are to come is no part of it, since no step depends on that: a longer training goes on from the
   * checkpoint of a shorter one.
   */
  at(step: number): Promise<string>;
}

/** `rows` in the order in which the steps take them, wrapping round: the sequences of each. */
export function createJob(rows: readonly (readonly TokenizedExample[])[], options: JobOptions): Job {
  const { batchSize, startStep = 0 } = options;
  const rowsOf = (step: number) =>
    Array.from({ length: batchSize }, (_, i) => rows[(step * batchSize + i) % rows.length] ?? []).flat();
  let known: { readonly step: number; readonly hash: string } | undefined;
  return {
    async at(step) {
      let at = known && known.step <= step ? known : { step: startStep, hash: await settingsHash(options) };
      for (; at.step < step; known = at) at = { step: at.step + 1, hash: await withRows(at.hash, rowsOf(at.step)) };
      return at.hash;
    },
  };
}

async function settingsHash(options: JobOptions): Promise<string> {
  const { weights, drift, optimizer } = options;
  const plain = Object.entries(options).filter(
    ([name, value]) => name !== 'steps' && ['number', 'string', 'boolean'].includes(typeof value),
  );
  const settings = new TextEncoder().encode(JSON.stringify(plain.sort()));
  const parts = [settings, bytesOf(weights), bytesOf(drift ?? new Float32Array())];
  if (optimizer) parts.push(bytesOf(optimizer.m), bytesOf(optimizer.v), bytesOf(Int32Array.of(optimizer.t)));
  return hashAll(parts);
}

const withRows = (hash: string, taken: readonly TokenizedExample[]): Promise<string> =>
  hashAll([new TextEncoder().encode(hash), bytesOf(tokensOf(taken))]);

async function hashAll(parts: readonly Uint8Array[]): Promise<string> {
  const digests = await Promise.all(parts.map((part) => sha256Hex(new Uint8Array(part))));
  return sha256Hex(new TextEncoder().encode(digests.join()));
}

/** Length, ids and labels of every sequence, one behind the other. */
function tokensOf(sequences: readonly TokenizedExample[]): Int32Array {
  const length = sequences.reduce((sum, { inputIds, labels }) => sum + 1 + inputIds.length + labels.length, 0);
  const values = new Int32Array(length);
  let at = 0;
  for (const { inputIds, labels } of sequences) {
    values[at] = inputIds.length;
    values.set(inputIds, at + 1);
    values.set(labels, at + 1 + inputIds.length);
    at += 1 + inputIds.length + labels.length;
  }
  return values;
}

export function bytesOf(values: Float32Array | Int32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
