import { describe, expect, it, vi } from 'vitest';
import { quicklyCompilingGpu, testGpu } from '../../test/gpu.ts';
import { dot, expectAllClose, numericGradient, randomValues, relativeL2, unwritten } from '../../test/reference.ts';
import { ADAPTER_KINDS, runOp } from '../../test/run-op.ts';
import type { AdapterKind } from '../gpu/device.ts';
import { type AttentionShape, attentionBackward, attentionForward } from './attention.ts';
import { flashAttentionBackward, flashAttentionForward } from './flash_attention.ts';

/** float64 reference: causal attention within segments; (batch·seq, heads·headDim) and lse (batch·seq, heads). */
function reference(
  q: ArrayLike<number>,
  k: ArrayLike<number>,
  v: ArrayLike<number>,
  segments: ArrayLike<number>,
  { batch, seq, heads, kvHeads, headDim }: AttentionShape,
): { out: Float64Array; lse: Float64Array } {
  const out = new Float64Array(batch * seq * heads * headDim);
  const lse = new Float64Array(batch * seq * heads);
  for (let token = 0; token < batch * seq; token++) {
    for (let head = 0; head < heads; head++) {
      const kvHead = Math.floor((head * kvHeads) / heads);
      const to = token * heads + head;
      const scores = new Map<number, number>(); // by the first element of the key
      for (let j = token - (token % seq); j <= token; j++) {
        if (segments[j] !== segments[token]) continue;
        const from = (j * kvHeads + kvHead) * headDim;
        let score = 0;
        for (let d = 0; d < headDim; d++) score += (q[to * headDim + d] ?? 0) * (k[from + d] ?? 0);
        scores.set(from, score / Math.sqrt(headDim));
      }
      const largest = Math.max(...scores.values());
      let sum = 0;
      for (const [from, score] of scores) {
        const weight = Math.exp(score - largest);
        sum += weight;
        for (let d = 0; d < headDim; d++)
          out[to * headDim + d] = (out[to * headDim + d] ?? 0) + weight * (v[from + d] ?? 0);
      }
      lse[to] = largest + Math.log(sum);
      for (let d = 0; d < headDim; d++) out[to * headDim + d] = (out[to * headDim + d] ?? 0) / sum;
    }
  }
  return { out, lse };
}

/** Segments of unequal lengths, one of a single token; ids that fall as well as rise and come again in the next row. */
function segmentsFor({ batch, seq }: AttentionShape): Uint32Array<ArrayBuffer> {
  return Uint32Array.from({ length: batch * seq }, (_, token) => {
    const position = (token % seq) / seq;
    if (token % seq === seq - 1) return 3;
    return position < 0.3 ? 5 : position < 0.55 ? 2 : 9;
  });
}

function buffersFor(shape: AttentionShape, segments = segmentsFor(shape)) {
  const { batch, seq, heads, kvHeads, headDim } = shape;
  const [wide, narrow, rows] = [batch * seq * heads * headDim, batch * seq * kvHeads * headDim, batch * seq * heads];
  return {
    ...{ q: randomValues(1, wide), k: randomValues(2, narrow), v: randomValues(3, narrow), segments },
    ...{ dout: randomValues(4, wide), out: unwritten(wide), lse: unwritten(rows), delta: unwritten(2 * rows) },
    ...{ dq: unwritten(wide), dk: unwritten(narrow), dv: unwritten(narrow) },
  };
}

const SMALL: AttentionShape[] = [
  { batch: 2, seq: 11, heads: 4, kvHeads: 2, headDim: 8 },
  { batch: 1, seq: 13, heads: 3, kvHeads: 3, headDim: 6 },
  { batch: 3, seq: 5, heads: 4, kvHeads: 1, headDim: 2 },
];
const LARGE: AttentionShape[] = [
  { batch: 2, seq: 70, heads: 4, kvHeads: 2, headDim: 24 },
  { batch: 1, seq: 131, heads: 8, kvHeads: 1, headDim: 10 },
  { batch: 1, seq: 67, heads: 2, kvHeads: 1, headDim: 64 },
  { batch: 1, seq: 97, heads: 2, kvHeads: 2, headDim: 128 },
];

/** SwiftShader's tile runs where `quicklyCompilingGpu` finds it; elsewhere that name takes the kernels for hardware. */
const KINDS = [...ADAPTER_KINDS, 'swiftshader'] as const;
const { adapter } = await testGpu();
const quick = (await quicklyCompilingGpu()).adapter.kind;

/**
 * The kernels for hardware are compiled for each size of a head, which takes llvmpipe ten seconds and more: there they run
 * with one size, which no tile divides.
 */
const suited = (kind: AdapterKind, shapes: AttentionShape[]) =>
  kind === adapter.kind || kind === quick ? shapes : shapes.map((shape) => ({ ...shape, headDim: 22 }));

vi.setConfig({ testTimeout: 300_000 }); // without SwiftShader, llvmpipe compiles the backward kernels for hardware for minutes

const run = <B extends Parameters<typeof runOp>[0]>(
  buffers: B,
  record: Parameters<typeof runOp<B>>[1],
  kind: AdapterKind,
): Promise<B> => runOp(buffers, record, kind, kind === 'llvmpipe' ? testGpu() : quicklyCompilingGpu());

describe.each(KINDS)('flash attention, variant for %s', (kind) => {
  it.each(suited(kind, [...SMALL, ...LARGE, { batch: 1, seq: 1, heads: 2, kvHeads: 1, headDim: 4 }]))(
    'forward of %o',
    async (shape) => {
      const buffers = buffersFor(shape);
      const { out, lse } = await run(buffers, (b, views) => flashAttentionForward(b, { ...views, ...shape }), kind);
      const expected = reference(buffers.q, buffers.k, buffers.v, buffers.segments, shape);
      expectAllClose(out, expected.out);
      expectAllClose(lse, expected.lse);
    },
  );

  const both = (shape: AttentionShape, buffers: ReturnType<typeof buffersFor>) =>
    run(
      buffers,
      (b, views) => {
        flashAttentionForward(b, { ...views, ...shape });
        flashAttentionBackward(b, { ...views, ...shape });
      },
      kind,
    );

  it.each(suited(kind, SMALL))('backward of %o', async (shape) => {
    const buffers = buffersFor(shape);
    const { q, k, v, segments, dout } = buffers;
    const { dq, dk, dv } = await both(shape, buffers);
    const loss = (a: ArrayLike<number>, b: ArrayLike<number>, c: ArrayLike<number>) =>
      dot(reference(a, b, c, segments, shape).out, dout);
    expectAllClose(
      dq,
      numericGradient((x) => loss(x, k, v), q),
      3e-6,
    );
    expectAllClose(
      dk,
      numericGradient((x) => loss(q, x, v), k),
      3e-6,
    );
    expectAllClose(
      dv,
      numericGradient((x) => loss(q, k, x), v),
      3e-6,
    );
  });

  it.each(suited(kind, LARGE))(
    'agrees with the materialised attention on %o, and with itself bit for bit',
    async (shape) => {
      const flash = await both(shape, buffersFor(shape));
      const probs = shape.batch * shape.heads * shape.seq ** 2;
      const materialised = await run(
        { ...buffersFor(shape), probs: unwritten(probs), dprobs: unwritten(probs) },
        (b, views) => {
          attentionForward(b, { ...views, ...shape });
          attentionBackward(b, { ...views, ...shape });
        },
        kind,
      );
      for (const name of ['out', 'dq', 'dk', 'dv'] as const) expectAllClose(flash[name], materialised[name], 4e-6);
      const again = await both(shape, buffersFor(shape));
      for (const name of ['out', 'lse', 'dq', 'dk', 'dv'] as const) expect(again[name]).toEqual(flash[name]);
    },
  );

  it('never visits what lies in other segments', async () => {
    const shape = { batch: 1, seq: 150, heads: 2, kvHeads: 1, headDim: 22 };
    const segments = Uint32Array.from({ length: 150 }, (_, i) => (i < 70 ? 1 : 2));
    const buffers = buffersFor(shape, segments);
    const results = await both(shape, buffers);
    // The second segment alone, as a row of its own, gives the same numbers.
    const alone = { ...shape, seq: 80 };
    const tail = <T extends Float32Array | Uint32Array>(x: T) => x.slice((x.length * 70) / 150) as T;
    const cut = Object.fromEntries(Object.entries(buffers).map(([name, x]) => [name, tail(x)])) as typeof buffers;
    const expected = await both(alone, cut);
    for (const name of ['out', 'lse', 'dq', 'dk', 'dv'] as const) expectAllClose(tail(results[name]), expected[name]);
  });

  it('stays finite for scores of ±1000', async () => {
    const shape = { batch: 1, seq: 40, heads: 2, kvHeads: 1, headDim: 22 };
    const buffers = buffersFor(shape, new Uint32Array(40));
    buffers.q = randomValues(5, buffers.q.length, 300);
    const { out } = await run(buffers, (b, views) => flashAttentionForward(b, { ...views, ...shape }), kind);
    expect(relativeL2(out, reference(buffers.q, buffers.k, buffers.v, buffers.segments, shape).out)).toBeLessThan(1e-3);
  });

  it('refuses heads that it has no tile for', async () => {
    for (const headDim of [7, 130]) {
      const shape = { batch: 1, seq: 4, heads: 1, kvHeads: 1, headDim };
      const refused = run(buffersFor(shape), (b, views) => flashAttentionForward(b, { ...views, ...shape }), kind);
      await expect(refused).rejects.toThrow('expected even ones up to 128');
    }
  });
});
