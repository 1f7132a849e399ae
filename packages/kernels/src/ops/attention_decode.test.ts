import { describe, expect, it } from 'vitest';
import { expectAllClose, randomValues, unwritten } from '../../test/reference.ts';
import { runOp } from '../../test/run-op.ts';
import { attentionDecode, cacheWrite } from './attention_decode.ts';

interface Shape {
  readonly maxSeq: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

/** float64 reference: one query over the first `length` rows of the caches. */
function reference(q: Float32Array, k: Float32Array, v: Float32Array, length: number, shape: Shape): Float64Array {
  const { heads, kvHeads, headDim } = shape;
  const out = new Float64Array(heads * headDim);
  for (let head = 0; head < heads; head++) {
    const kv = Math.floor(head / (heads / kvHeads));
    const weights = Array.from({ length }, (_, j) => {
      let score = 0;
      for (let d = 0; d < headDim; d++)
        score += (q[head * headDim + d] ?? 0) * (k[(j * kvHeads + kv) * headDim + d] ?? 0);
      return Math.exp(score / Math.sqrt(headDim));
    });
    const sum = weights.reduce((a, b) => a + b, 0);
    for (let d = 0; d < headDim; d++) {
      const value = weights.reduce((total, w, j) => total + w * (v[(j * kvHeads + kv) * headDim + d] ?? 0), 0);
      out[head * headDim + d] = value / sum;
    }
  }
  return out;
}

describe('attention_decode', () => {
  it.each([
    [9, { maxSeq: 16, heads: 4, kvHeads: 2, headDim: 8 }],
    [1, { maxSeq: 5, heads: 3, kvHeads: 1, headDim: 6 }],
    [130, { maxSeq: 130, heads: 2, kvHeads: 2, headDim: 10 }],
  ])('attends over %i positions of %o', async (length, shape) => {
    const { maxSeq, heads, kvHeads, headDim } = shape;
    const q = randomValues(1, heads * headDim);
    const [kCache, vCache] = [randomValues(2, maxSeq * kvHeads * headDim), randomValues(3, maxSeq * kvHeads * headDim)];
    const buffers = {
      ...{ q, kCache, vCache, length: Uint32Array.of(length) },
      ...{ scores: unwritten(heads * maxSeq), out: unwritten(heads * headDim) },
    };
    const { out } = await runOp(buffers, (b, views) => attentionDecode(b, { ...views, ...shape }));
    expectAllClose(out, reference(q, kCache, vCache, length, shape));
  });

  it.each([1, 3, 5])('writes the newest row of a cache holding %i', async (length) => {
    const [width, maxSeq] = [70, 5];
    const [kv, before] = [randomValues(1, width), randomValues(2, maxSeq * width)];
    const buffers = { kv, cache: before, length: Uint32Array.of(length) };
    const { cache } = await runOp(buffers, (b, views) => cacheWrite(b, { ...views, width, maxSeq }));
    const expected = Float32Array.from(before);
    expected.set(kv, (length - 1) * width);
    expect([...cache]).toEqual([...expected]);
  });

  it.each([0, 6])('writes nothing for a length of %i outside the cache', async (length) => {
    const before = randomValues(2, 6 * 3); // a row more than the cache has, which must stay
    const buffers = { kv: randomValues(1, 3), cache: before, length: Uint32Array.of(length) };
    const { cache } = await runOp(buffers, (b, views) => cacheWrite(b, { ...views, width: 3, maxSeq: 5 }));
    expect([...cache]).toEqual([...before]);
  });
});
