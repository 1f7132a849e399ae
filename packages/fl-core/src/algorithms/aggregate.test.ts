import { describe, expect, it } from 'vitest';
import { decodeVector, encodeVector } from '../protocol/codec.ts';
import { aggregateUpdates, type EncodedUpdate } from './aggregate.ts';
import type { Algorithm } from './algorithm.ts';
import { fedavg } from './fedavg.ts';
import { fedavgm } from './fedavgm.ts';
import { scaffold } from './scaffold.ts';
import { decodeAlgorithmState, encodeAlgorithmState } from './state-codec.ts';

const encoded = (
  participantId: string,
  examples: number,
  delta: number[],
  dtype: 'f32' | 'f16' = 'f32',
): EncodedUpdate => {
  const bytes = encodeVector(new Float32Array(delta), { dtype, round: 2 });
  return {
    participantId,
    examples,
    bytes: bytes.length,
    read: (offset, length) => Promise.resolve(bytes.subarray(offset, offset + length)),
  };
};
const adapter = encodeVector(new Float32Array([1, 2, 3, 4, 5]), { dtype: 'f32', round: 2 });
const base = {
  algorithm: fedavg as Algorithm,
  hyper: { weighting: 'examples' },
  adapter,
  algorithmState: null,
  round: 2,
  clients: 2,
  sliceLength: 2,
};

describe('aggregation over encoded updates', () => {
  it('takes f16 and f32 updates together and labels the result with the next round', async () => {
    const updates = [encoded('b', 1, [4, 0, -4, 8, 12], 'f16'), encoded('a', 3, [0, 4, 4, 8, -4])];
    const { adapter: next, algorithmState } = await aggregateUpdates({ ...base, updates });
    expect(decodeVector(next)).toEqual({ vector: new Float32Array([2, 5, 5, 12, 5]), round: 3, dtype: 'f32' });
    expect(algorithmState).toBeNull();
  });

  it('refuses an update of another length, or cut', async () => {
    const short = encoded('a', 1, [1, 2, 3, 4]);
    await expect(aggregateUpdates({ ...base, updates: [short] })).rejects.toMatchObject({ code: 'wrong-shape' });
    const cut = { ...encoded('a', 1, [1, 2, 3, 4, 5]), bytes: 39 };
    await expect(aggregateUpdates({ ...base, updates: [cut] })).rejects.toMatchObject({ code: 'wrong-shape' });
  });

  it('carries vectors and numbers of an algorithm from round to round', async () => {
    const momentum: Algorithm = {
      ...(fedavg as Algorithm),
      initialState: (length) => ({ vectors: { m: new Float32Array(length) }, numbers: { t: 0 } }),
      serverStep: ({ weights, updates, state }) => {
        const m = (state.vectors.m as Float32Array).map(
          (value, i) => value / 2 + ((updates[0]?.delta[i] as number) ?? 0),
        );
        return {
          weights: weights.map((w, i) => w + (m[i] as number)),
          state: { vectors: { m }, numbers: { t: (state.numbers.t as number) + 1 } },
        };
      },
    };
    const updates = [encoded('a', 1, [2, 4, 6, 8, 10])];
    const first = await aggregateUpdates({ ...base, algorithm: momentum, updates });
    const second = await aggregateUpdates({ ...base, algorithm: momentum, ...first, updates, round: 3 });
    expect([...decodeVector(second.adapter).vector]).toEqual([
      1 + 2 + 3,
      2 + 4 + 6,
      3 + 6 + 9,
      4 + 8 + 12,
      5 + 10 + 15,
    ]);
    expect(decodeAlgorithmState(second.algorithmState as Uint8Array)).toEqual({
      vectors: { m: new Float32Array([3, 6, 9, 12, 15]) },
      numbers: { t: 2 },
    });
  });

  const controlled = {
    ...base,
    algorithm: scaffold as Algorithm,
    hyper: { weighting: 'examples', driftTarget: 'weights' },
    clients: 8,
  };

  it('reads the vectors behind the delta, in slices and in either dtype', async () => {
    // delta, then controlDelta; values that f16 holds exactly
    const updates = [
      encoded('b', 1, [4, 0, -4, 8, 12, /**/ 8, 16, -8, 0, 1], 'f16'),
      encoded('a', 3, [0, 4, 4, 8, -4, /**/ 8, -8, 4, 2, 3]),
    ];
    for (const sliceLength of [1, 2, 4, 5, 9]) {
      const first = await aggregateUpdates({ ...controlled, sliceLength, updates });
      expect([...decodeVector(first.adapter).vector]).toEqual([2, 5, 5, 12, 5]);
      const state = decodeAlgorithmState(first.algorithmState as Uint8Array);
      expect(state.vectors).toEqual({ c: new Float32Array([2, 1, -0.5, 0.25, 0.5]) }); // sums over 8 clients
      const second = await aggregateUpdates({ ...controlled, ...first, sliceLength, updates, round: 3 });
      expect(decodeAlgorithmState(second.algorithmState as Uint8Array).vectors).toEqual({
        c: new Float32Array([4, 2, -1, 0.5, 1]),
      });
    }
  });

  it('keeps the order of several extras', async () => {
    const seen: unknown[] = [];
    const two: Algorithm = {
      ...(fedavg as Algorithm),
      extras: ['zebra', 'ant'],
      serverStep: ({ weights, updates, state }) => {
        seen.push(updates[0]);
        return { weights, state };
      },
    };
    const updates = [encoded('a', 3, [1, 2, 3, 4, 5, /**/ 10, 20, 30, 40, 50, /**/ 11, 21, 31, 41, 51])];
    await aggregateUpdates({ ...base, algorithm: two, updates, sliceLength: 3 });
    const slice = (delta: number[], zebra: number[], ant: number[]) => ({
      participantId: 'a',
      examples: 3,
      delta: new Float32Array(delta),
      extra: { zebra: new Float32Array(zebra), ant: new Float32Array(ant) },
    });
    expect(seen).toEqual([slice([1, 2, 3], [10, 20, 30], [11, 21, 31]), slice([4, 5], [40, 50], [41, 51])]);
  });

  it('refuses an update without the vectors that belong behind its delta, or with ones that do not', async () => {
    const plain = encoded('a', 1, [1, 2, 3, 4, 5]);
    await expect(aggregateUpdates({ ...controlled, updates: [plain] })).rejects.toMatchObject({
      code: 'wrong-shape',
      message: 'update of a: got 5 values in 40 bytes, expected 10 values (5 each of delta, controlDelta)',
    });
    const double = encoded('a', 1, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    await expect(aggregateUpdates({ ...base, updates: [double] })).rejects.toMatchObject({ code: 'wrong-shape' });
  });

  it('gives every slice the numbers that the round began with', async () => {
    const input = { ...base, algorithm: fedavgm as Algorithm, hyper: fedavgm.hyper.parse({}) };
    const updates = [encoded('a', 1, [2, 4, 6, 8, 10])];
    const first = await aggregateUpdates({ ...input, updates, sliceLength: 2 });
    // the first round takes Δ whole in every slice, not only in the first one
    expect([...decodeVector(first.adapter).vector]).toEqual([3, 6, 9, 12, 15]);
    expect(decodeAlgorithmState(first.algorithmState as Uint8Array)).toEqual({
      vectors: { m: new Float32Array([2, 4, 6, 8, 10]) },
      numbers: { rounds: 1 },
    });
  });

  it('refuses a state that is not finite, though the adapter is', async () => {
    const updates = [encoded('a', 1, [0, 0, 0, 0, 0, 1, 1, 1, Number.POSITIVE_INFINITY, 1])];
    await expect(aggregateUpdates({ ...controlled, updates })).rejects.toMatchObject({
      code: 'not-finite',
      message: 'aggregate of round 2: state c has a value that is not finite between 2 and 4; it is not published',
    });
  });

  it('refuses the state of another algorithm or of another length', async () => {
    const updates = [encoded('a', 1, [1, 2, 3, 4, 5, 1, 1, 1, 1, 1])];
    const state = (name: string, length: number) =>
      encodeAlgorithmState({ vectors: { [name]: new Float32Array(length) }, numbers: {} });
    await expect(aggregateUpdates({ ...controlled, updates, algorithmState: state('m', 5) })).rejects.toMatchObject({
      code: 'invalid',
      message: expect.stringContaining('scaffold state has no vector "c"; got m'),
    });
    await expect(aggregateUpdates({ ...controlled, updates, algorithmState: state('c', 4) })).rejects.toMatchObject({
      code: 'wrong-shape',
    });
  });

  it('refuses a state that is cut, longer than it says, or something else', () => {
    const invalid = expect.objectContaining({ code: 'invalid' });
    const bytes = encodeAlgorithmState({ vectors: { c: new Float32Array([1, 2]) }, numbers: { rounds: 1 } });
    expect(decodeAlgorithmState(bytes).vectors).toEqual({ c: new Float32Array([1, 2]) });
    expect(() => decodeAlgorithmState(bytes.slice(0, -1))).toThrow(invalid);
    expect(() => decodeAlgorithmState(new Uint8Array([...bytes, 0]))).toThrow(invalid);
    expect(() => decodeAlgorithmState(new Uint8Array([9, 0, 0, 0, 123]))).toThrow(invalid);
    const head = new TextEncoder().encode('{"numbers":{"rounds":null},"vectors":[]}');
    expect(() => decodeAlgorithmState(new Uint8Array([head.length, 0, 0, 0, ...head]))).toThrow(invalid);
  });
});
