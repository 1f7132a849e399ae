import { describe, expect, it } from 'vitest';
import { testGpu } from '../../test/gpu.ts';
import { type Arena, createArena } from '../gpu/buffers.ts';
import { createProgramBuilder } from '../gpu/program.ts';
import { matmulBackward, matmulForward } from './matmul.ts';
import { BACKWARD_VARIANTS, FORWARD_VARIANTS, type MatmulVariant } from './matmul_variants.ts';
import type { Matrix } from './matrix.ts';

/** Deterministic values in (−1, 1), so that a failure repeats. */
function values(length: number, seed: number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length }, (_, i) => Math.sin(i * 12.9898 + seed * 78.233) * Math.cos(i * 0.37 + seed));
}

function relativeL2(got: ArrayLike<number>, expected: Float64Array): number {
  let error = 0;
  let norm = 0;
  expected.forEach((value, i) => {
    error += ((got[i] ?? Number.NaN) - value) ** 2;
    norm += value ** 2;
  });
  return Math.sqrt(error / norm);
}

interface Weights {
  readonly matrix: Matrix;
  /** What the matrix stands for, (outputs, inputs). */
  readonly dense: Float64Array;
}

function makeWeights(arena: Arena, dtype: Matrix['dtype'], outputs: number, inputs: number): Weights {
  const raw = values(outputs * inputs, 3);
  if (dtype === 'f32') {
    return {
      matrix: { dtype, w: arena.upload('w', raw), rows: outputs, cols: inputs },
      dense: Float64Array.from(raw),
    };
  }
  const q = Int8Array.from(raw, (value) => Math.round(value * 127));
  const scale = Float32Array.from({ length: outputs }, (_, n) => 0.002 + 0.001 * (n % 7));
  return {
    matrix: { dtype, q: arena.upload('q', q), scale: arena.upload('scale', scale), rows: outputs, cols: inputs },
    dense: Float64Array.from(q, (value, i) => value * (scale[Math.floor(i / inputs)] ?? 0)),
  };
}

// (rows, inputs, outputs): one row; less than a tile, inputs that 16 does not divide; remainders in every direction where 16
// weights are loaded at once; whole tiles. Few, because every variant computes all of them with both kinds of weights.
const SHAPES = [
  [1, 64, 64],
  [5, 20, 7],
  [67, 48, 105],
  [128, 128, 128],
] as const;

/** A loaded machine may take half a minute to compile the largest tiles. */
const COMPILING = { timeout: 240_000 };

const DTYPES = ['int8', 'f32'] as const;
const names = <V extends string>(variants: Record<V, MatmulVariant<unknown>>) => Object.keys(variants) as V[];
const each = <V extends string>(variants: Record<V, MatmulVariant<unknown>>) =>
  DTYPES.flatMap((dtype) => names(variants).map((variant) => ({ dtype, variant })));

describe.each(each(FORWARD_VARIANTS))('matmul forward, $dtype weights, $variant', COMPILING, ({ dtype, variant }) => {
  it.each(SHAPES)('%i × %i → %i', async (rows, inputs, outputs) => {
    const gpu = await testGpu();
    if (!FORWARD_VARIANTS[variant].supports(gpu)) return; // lanes made for another width of SIMD
    const arena = createArena(gpu.device);
    const { matrix, dense } = makeWeights(arena, dtype, outputs, inputs);
    const x = values(rows * inputs, 1);
    const y = arena.upload('y', values(rows * outputs, 9));
    const b = createProgramBuilder(gpu);
    matmulForward(b, { x: arena.upload('x', x), w: matrix, y, rows, variant });
    const program = await b.finish('matmul');
    program.run();
    const expected = new Float64Array(rows * outputs);
    for (let m = 0; m < rows; m++) {
      for (let n = 0; n < outputs; n++) {
        let sum = 0;
        for (let k = 0; k < inputs; k++) sum += (x[m * inputs + k] ?? 0) * (dense[n * inputs + k] ?? 0);
        expected[m * outputs + n] = sum;
      }
    }
    expect(relativeL2(await gpu.readF32(y, rows * outputs), expected)).toBeLessThan(1e-5);
    program.destroy();
    arena.destroy();
  });
});

describe.each(each(BACKWARD_VARIANTS))('matmul backward, $dtype weights, $variant', COMPILING, ({ dtype, variant }) => {
  it.each(SHAPES)('%i × %i → %i', async (rows, inputs, outputs) => {
    const gpu = await testGpu();
    if (!BACKWARD_VARIANTS[variant].supports(gpu)) return; // lanes made for another width of SIMD
    const arena = createArena(gpu.device);
    const { matrix, dense } = makeWeights(arena, dtype, outputs, inputs);
    const dy = values(rows * outputs, 2);
    const before = values(rows * inputs, 5);
    const expected = new Float64Array(rows * inputs);
    for (let m = 0; m < rows; m++) {
      for (let n = 0; n < outputs; n++) {
        for (let k = 0; k < inputs; k++) {
          expected[m * inputs + k] =
            (expected[m * inputs + k] ?? 0) + (dy[m * outputs + n] ?? 0) * (dense[n * inputs + k] ?? 0);
        }
      }
    }
    for (const accumulate of [false, true]) {
      const dx = arena.upload('dx', before);
      const b = createProgramBuilder(gpu);
      matmulBackward(b, { dy: arena.upload('dy', dy), w: matrix, dx, rows, accumulate, variant });
      const program = await b.finish('matmul backward');
      program.run();
      const total = expected.map((value, i) => value + (accumulate ? (before[i] ?? 0) : 0));
      expect(relativeL2(await gpu.readF32(dx, rows * inputs), total)).toBeLessThan(1e-5);
      program.destroy();
    }
    arena.destroy();
  });
});

// Every variant adds up in the order of k, and powers of two that come and go round nothing.
it.each(DTYPES)('gives the same bits whatever the variant and the pieces, %s weights', COMPILING, async (dtype) => {
  const gpu = await testGpu();
  const arena = createArena(gpu.device);
  const [rows, inputs, outputs] = [70, 48, 37];
  const { matrix } = makeWeights(arena, dtype, outputs, inputs);
  const x = arena.upload('x', values(rows * inputs, 1));
  const [first, ...others] = await Promise.all(
    names(FORWARD_VARIANTS)
      .filter((variant) => variant !== 'skinny' && FORWARD_VARIANTS[variant].supports(gpu)) // skinny splits its sums
      .map(async (variant) => {
        const y = arena.alloc('y', rows * outputs);
        const b = createProgramBuilder(gpu);
        matmulForward(b, { x, w: matrix, y, rows, variant });
        const program = await b.finish(variant);
        program.run();
        const bits = await gpu.readU32(y, rows * outputs);
        program.destroy();
        return bits;
      }),
  );
  expect(others.length).toBeGreaterThan(1);
  for (const bits of others) expect(bits).toEqual(first);
  arena.destroy();
});
