import { describe, expect, it } from 'vitest';
import { dot, expectAllClose, numericGradient, randomValues } from '../../test/reference.ts';
import { runOp } from '../../test/run-op.ts';
import type { LlamaConfig, RopeScaling } from '../llama/config.ts';
import { ropeBackward, ropeForward, ropeInverseFrequencies } from './rope.ts';

function config(headDim: number, ropeScaling: RopeScaling | null = null, ropeTheta = 10000): LlamaConfig {
  return {
    vocabSize: 64,
    hiddenSize: 32,
    intermediateSize: 48,
    layers: 2,
    heads: 4,
    kvHeads: 2,
    headDim,
    ropeTheta,
    ropeScaling,
    rmsNormEps: 1e-5,
    tiedEmbeddings: false,
    maxPositions: 2048,
    bosTokenId: 1,
    eosTokenIds: [2],
  };
}

/** float64 reference on the f32 angle that every f32 implementation starts from. */
function reference(
  x: ArrayLike<number>,
  positions: ArrayLike<number>,
  frequencies: ArrayLike<number>,
  heads: number,
  headDim: number,
): Float64Array {
  const half = headDim / 2;
  return Float64Array.from(x, (value, at) => {
    const d = at % headDim;
    const row = Math.floor(at / (heads * headDim));
    const angle = Math.fround((positions[row] ?? 0) * (frequencies[d % half] ?? 0));
    const partner = d < half ? -(x[at + half] ?? 0) : (x[at - half] ?? 0);
    return value * Math.cos(angle) + partner * Math.sin(angle);
  });
}

const SHAPES = [
  { heads: 4, headDim: 16, positions: [0, 1, 2, 17, 511] },
  { heads: 3, headDim: 6, positions: [5, 4095, 0] },
  { heads: 1, headDim: 2, positions: Array.from({ length: 130 }, (_, i) => i * 761) },
];

describe('rope', () => {
  it.each(SHAPES)('rotates $heads heads of $headDim', async ({ heads, headDim, positions }) => {
    const [rows, width] = [positions.length, heads * headDim];
    const [x, inverseFrequency] = [randomValues(1, rows * width), ropeInverseFrequencies(config(headDim))];
    const buffers = { x, positions: Uint32Array.from(positions), inverseFrequency };
    const rotated = await runOp(buffers, (b, views) => ropeForward(b, { ...views, rows, heads, headDim }));
    expectAllClose(rotated.x, reference(x, positions, inverseFrequency, heads, headDim), 6e-7);
  });

  it.each(SHAPES.slice(0, 2))('backward of $heads heads of $headDim', async ({ heads, headDim, positions }) => {
    const [rows, width] = [positions.length, heads * headDim];
    const [x, dy] = [randomValues(2, rows * width), randomValues(3, rows * width)];
    const inverseFrequency = ropeInverseFrequencies(config(headDim));
    const buffers = { x: dy, positions: Uint32Array.from(positions), inverseFrequency };
    const rotated = await runOp(buffers, (b, views) => ropeBackward(b, { ...views, rows, heads, headDim }));
    const loss = (moved: Float64Array) => dot(reference(moved, positions, inverseFrequency, heads, headDim), dy);
    expectAllClose(rotated.x, numericGradient(loss, x));
  });

  it('spaces frequencies geometrically from 1', () => {
    expectAllClose(ropeInverseFrequencies(config(8)), [1, 0.1, 0.01, 0.001], 1e-7);
    expectAllClose(
      ropeInverseFrequencies(config(8, { type: 'linear', factor: 4 })),
      [0.25, 0.025, 0.0025, 0.00025],
      1e-7,
    );
  });

  it('scales long wavelengths as Llama 3.1 does and keeps short ones', () => {
    const scaling = {
      type: 'llama3',
      factor: 8,
      lowFreqFactor: 1,
      highFreqFactor: 4,
      originalMaxPositions: 8192,
    } as const;
    const plain = ropeInverseFrequencies(config(128, null, 500000));
    const scaled = ropeInverseFrequencies(config(128, scaling, 500000));
    const wavelength = (d: number) => (2 * Math.PI) / (plain[d] ?? 0);
    let between = 0;
    for (let d = 0; d < 64; d++) {
      const ratio = (plain[d] ?? 0) / (scaled[d] ?? 0);
      if (wavelength(d) < 8192 / 4) expect(ratio).toBeCloseTo(1, 6);
      else if (wavelength(d) > 8192) expect(ratio).toBeCloseTo(8, 5);
      else {
        const smooth = (8192 / wavelength(d) - 1) / 3;
        expect(1 / ratio).toBeCloseTo(smooth + (1 - smooth) / 8, 6);
        between += 1;
      }
    }
    expect(between).toBeGreaterThan(2);
  });
});
