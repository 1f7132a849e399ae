import { FlError } from '../error.ts';
import {
  decodePayload,
  decodeVector,
  encodedBytes,
  encodeVector,
  readVectorHeader,
  VECTOR_HEADER_BYTES,
} from '../protocol/codec.ts';
import { allFinite } from '../vector.ts';
import type { Algorithm, AlgorithmState, ClientUpdate } from './algorithm.ts';
import { decodeAlgorithmState, encodeAlgorithmState } from './state-codec.ts';

/** An encoded update on disk or in memory; its hash was checked when it arrived. */
export interface EncodedUpdate {
  readonly participantId: string;
  readonly examples: number;
  /** Size of the encoded update: its delta, then the vectors that the algorithm's `extras` names, in one encoded vector. */
  readonly bytes: number;
  read(offsetBytes: number, lengthBytes: number): Promise<Uint8Array>;
}

export interface AggregateInput {
  readonly algorithm: Algorithm;
  readonly hyper: unknown;
  /** The encoded global adapter that the round started from. */
  readonly adapter: Uint8Array;
  /** What the previous round returned; null before the first. */
  readonly algorithmState: Uint8Array | null;
  readonly updates: readonly EncodedUpdate[];
  /** N: everyone who had joined when the round began. */
  readonly clients: number;
  /** The round that is being closed. */
  readonly round: number;
  /** Values taken at a time from every update; memory is updates × this. Default 65536. */
  readonly sliceLength?: number;
}

export interface Aggregate {
  /** The encoded adapter (f32) that round + 1 starts from. */
  readonly adapter: Uint8Array<ArrayBuffer>;
  /** Null for an algorithm that carries nothing. */
  readonly algorithmState: Uint8Array<ArrayBuffer> | null;
}

/**
 * The server half of a round over encoded bytes, slice by slice; bit-identical whatever the slice length and the order of
 * updates. An update holds length × (1 + extras) values: the delta, then each extra. Every slice is given the numbers of the state
 * that the round began with. FlError `not-finite` when the next adapter or state has a NaN or an infinity, `wrong-shape` when an
 * update has another length.
 */
export async function aggregateUpdates(input: AggregateInput): Promise<Aggregate> {
  const { algorithm, hyper, updates, round, clients, sliceLength = 65_536 } = input;
  const { vector: weights } = decodeVector(input.adapter);
  const opened = await Promise.all(updates.map((update) => openUpdate(update, weights.length, algorithm.extras ?? [])));
  const state =
    input.algorithmState === null ? algorithm.initialState(weights.length) : decodeAlgorithmState(input.algorithmState);
  const next = new Float32Array(weights.length);
  const nextVectors: Record<string, Float32Array> = {};
  let numbers = state.numbers;
  for (let start = 0; start < weights.length; start += sliceLength) {
    const end = Math.min(start + sliceLength, weights.length);
    const slices = await Promise.all(opened.map((update) => update(start, end)));
    const step = algorithm.serverStep({
      weights: weights.slice(start, end),
      updates: slices,
      hyper,
      state: sliceState(state, start, end),
      clients,
    });
    const check = (vector: Float32Array, name: string): void => {
      if (allFinite(vector)) return;
      throw new FlError(
        'not-finite',
        `aggregate of round ${round}: ${name} has a value that is not finite between ${start} and ${end}; it is not published`,
      );
    };
    check(step.weights, 'the adapter');
    next.set(step.weights, start);
    for (const [name, vector] of Object.entries(step.state.vectors)) {
      check(vector, `state ${name}`);
      nextVectors[name] ??= new Float32Array(weights.length);
      nextVectors[name].set(vector, start);
    }
    numbers = step.state.numbers;
  }
  const empty = Object.keys(nextVectors).length === 0 && Object.keys(numbers).length === 0;
  return {
    adapter: encodeVector(next, { dtype: 'f32', round: round + 1 }),
    algorithmState: empty ? null : encodeAlgorithmState({ vectors: nextVectors, numbers }),
  };
}

const sliceState = (state: AlgorithmState, start: number, end: number): AlgorithmState => ({
  numbers: state.numbers,
  vectors: Object.fromEntries(Object.entries(state.vectors).map(([name, vector]) => [name, vector.slice(start, end)])),
});

/** Reads the header and returns a function that reads values [start, end) of the delta and of every extra. */
async function openUpdate(
  update: EncodedUpdate,
  length: number,
  extras: readonly string[],
): Promise<(start: number, end: number) => Promise<ClientUpdate>> {
  const { participantId, examples } = update;
  const header = readVectorHeader(await update.read(0, VECTOR_HEADER_BYTES));
  const values = length * (1 + extras.length);
  if (header.length !== values || update.bytes !== encodedBytes(values, header.dtype)) {
    const parts = extras.length === 0 ? '' : ` (${length} each of ${['delta', ...extras].join(', ')})`;
    throw new FlError(
      'wrong-shape',
      `update of ${participantId}: got ${header.length} values in ${update.bytes} bytes, expected ${values} values${parts}`,
    );
  }
  const width = header.dtype === 'f32' ? 4 : 2;
  /** Values [start, end) of part 0, the delta, or part e + 1, extra e. */
  const part = async (index: number, start: number, end: number): Promise<Float32Array> => {
    const offset = VECTOR_HEADER_BYTES + (index * length + start) * width;
    return decodePayload(await update.read(offset, (end - start) * width), header.dtype);
  };
  return async (start, end) => {
    const delta = await part(0, start, end);
    if (extras.length === 0) return { participantId, examples, delta };
    const read = extras.map(async (name, e): Promise<[string, Float32Array]> => [name, await part(e + 1, start, end)]);
    return { participantId, examples, delta, extra: Object.fromEntries(await Promise.all(read)) };
  };
}
