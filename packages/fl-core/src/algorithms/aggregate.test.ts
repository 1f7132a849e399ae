import { describe, expect, it } from 'vitest';
import { decodeVector, encodeVector } from '../protocol/codec.ts';
import { aggregateUpdates, type EncodedUpdate } from './aggregate.ts';
import type { Algorithm } from './algorithm.ts';
import { fedavg } from './fedavg.ts';
import { decodeAlgorithmState } from './state-codec.ts';

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

  it('refuses a state that is cut', () => {
    expect(() => decodeAlgorithmState(new Uint8Array([9, 0, 0, 0, 123]))).toThrow(
      expect.objectContaining({ code: 'invalid' }),
    );
  });
});
