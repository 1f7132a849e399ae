import { describe, expect, it } from 'vitest';
import { dot, expectAllClose, numericGradient, randomValues, relativeL2, unwritten } from '../../test/reference.ts';
import { ADAPTER_KINDS, runOp } from '../../test/run-op.ts';
import { type AttentionShape, attentionBackward, attentionForward } from './attention.ts';

/** float64 reference: causal attention within segments; (batch·seq, heads·headDim). */
function reference(
  q: ArrayLike<number>,
  k: ArrayLike<number>,
  v: ArrayLike<number>,
  segments: readonly number[],
  { batch, seq, heads, kvHeads, headDim }: AttentionShape,
): Float64Array {
  const out = new Float64Array(batch * seq * heads * headDim);
  const at = (token: number, head: number, of: number) => (token * of + head) * headDim;
  for (let token = 0; token < batch * seq; token++) {
    const first = token - (token % seq);
    const keys = Array.from({ length: token - first + 1 }, (_, j) => first + j).filter(
      (j) => segments[j] === segments[token],
    );
    for (let head = 0; head < heads; head++) {
      const kv = Math.floor(head / (heads / kvHeads));
      const scores = keys.map((j) => {
        let score = 0;
        for (let d = 0; d < headDim; d++)
          score += (q[at(token, head, heads) + d] ?? 0) * (k[at(j, kv, kvHeads) + d] ?? 0);
        return score / Math.sqrt(headDim);
      });
      const largest = Math.max(...scores);
      const weights = scores.map((score) => Math.exp(score - largest));
      const sum = weights.reduce((a, b) => a + b, 0);
      for (let d = 0; d < headDim; d++) {
        const value = keys.reduce((total, j, n) => total + (weights[n] ?? 0) * (v[at(j, kv, kvHeads) + d] ?? 0), 0);
        out[at(token, head, heads) + d] = value / sum;
      }
    }
  }
  return out;
}

/** Three segments a sequence, of unequal lengths; ids that fall as well as rise. */
function segmentsFor({ batch, seq }: AttentionShape): number[] {
  return Array.from({ length: batch * seq }, (_, token) => {
    const position = token % seq;
    return position < seq / 3 ? 5 : position < seq / 2 ? 2 : 9;
  });
}

function inputs(shape: AttentionShape) {
  const { batch, seq, heads, kvHeads, headDim } = shape;
  const [wide, narrow] = [batch * seq * heads * headDim, batch * seq * kvHeads * headDim];
  return {
    q: randomValues(1, wide),
    k: randomValues(2, narrow),
    v: randomValues(3, narrow),
    dout: randomValues(4, wide),
    probs: unwritten(batch * heads * seq * seq),
  };
}

const SHAPES: AttentionShape[] = [
  { batch: 2, seq: 9, heads: 4, kvHeads: 2, headDim: 8 },
  { batch: 1, seq: 7, heads: 3, kvHeads: 3, headDim: 6 },
  { batch: 3, seq: 4, heads: 2, kvHeads: 1, headDim: 2 },
  { batch: 1, seq: 1, heads: 2, kvHeads: 1, headDim: 4 },
];

describe.each(ADAPTER_KINDS)('attention, variant for %s', (kind) => {
  it.each([...SHAPES, { batch: 2, seq: 70, heads: 4, kvHeads: 2, headDim: 12 }])('forward of %o', async (shape) => {
    const { q, k, v, probs } = inputs(shape);
    const segments = segmentsFor(shape);
    const buffers = { q, k, v, probs, segments: Uint32Array.from(segments), out: unwritten(q.length) };
    const { out } = await runOp(buffers, (b, views) => attentionForward(b, { ...views, ...shape }), kind);
    expectAllClose(out, reference(q, k, v, segments, shape));
  });

  it.each(SHAPES)('backward of %o', async (shape) => {
    const { q, k, v, dout, probs } = inputs(shape);
    const segments = segmentsFor(shape);
    const buffers = {
      ...{ q, k, v, dout, probs, segments: Uint32Array.from(segments), out: unwritten(q.length) },
      ...{ dprobs: unwritten(probs.length), dq: unwritten(q.length), dk: unwritten(k.length), dv: unwritten(v.length) },
    };
    const record = runOp(
      buffers,
      (b, views) => {
        attentionForward(b, { ...views, ...shape });
        attentionBackward(b, { ...views, ...shape });
      },
      kind,
    );
    const { dq, dk, dv } = await record;
    expectAllClose(
      dq,
      numericGradient((x) => dot(reference(x, k, v, segments, shape), dout), q),
      3e-6,
    );
    expectAllClose(
      dk,
      numericGradient((x) => dot(reference(q, x, v, segments, shape), dout), k),
      3e-6,
    );
    expectAllClose(
      dv,
      numericGradient((x) => dot(reference(q, k, x, segments, shape), dout), v),
      3e-6,
    );
  });

  it('stays finite for scores of ±1000', async () => {
    const shape = { batch: 1, seq: 6, heads: 2, kvHeads: 1, headDim: 4 };
    const { k, v, probs } = inputs(shape);
    const q = randomValues(5, 48, 1000);
    const segments = [0, 0, 0, 0, 0, 0];
    const buffers = { q, k, v, probs, segments: Uint32Array.from(segments), out: unwritten(48) };
    const { out } = await runOp(buffers, (b, views) => attentionForward(b, { ...views, ...shape }), kind);
    expect(relativeL2(out, reference(q, k, v, segments, shape))).toBeLessThan(1e-3);
  });
});
