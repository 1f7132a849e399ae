import { describe, expect, it } from 'vitest';
import { testGpu } from '../../test/gpu.ts';
import { randomValues, relativeL2 } from '../../test/reference.ts';
import { createArena } from '../gpu/buffers.ts';
import { createProgramBuilder } from '../gpu/program.ts';
import { type MatmulDp4aVariant, matmulForwardDp4a } from './matmul_dp4a.ts';
import { createQuantizedRows, MAX_OUTLIER_COLUMNS, quantizeActivations } from './quantize_activations.ts';

interface Case {
  readonly rows: number;
  readonly inputs: number;
  readonly outputs: number;
  readonly x: Float32Array<ArrayBuffer>;
  readonly wq: Int8Array<ArrayBuffer>;
  readonly wScale: Float32Array<ArrayBuffer>;
  readonly threshold?: number;
}

/** Quantises x and multiplies on the GPU; what the quantiser made comes back with y, so that either is checked alone. */
async function multiply(options: Case, variant?: MatmulDp4aVariant) {
  const { rows, inputs, outputs, threshold } = options;
  const gpu = await testGpu();
  const arena = createArena(gpu.device);
  const quantized = createQuantizedRows(arena.alloc, rows + 3, inputs + 8); // larger than needed, as in a trainer
  const w = {
    dtype: 'int8' as const,
    q: arena.upload('q', options.wq),
    scale: arena.upload('scale', options.wScale),
    rows: outputs,
    cols: inputs,
  };
  const y = arena.upload('y', randomValues(9, rows * outputs));
  const b = createProgramBuilder(gpu);
  quantizeActivations(b, { x: arena.upload('x', options.x), quantized, rows, inputs, threshold });
  matmulForwardDp4a(b, { x: quantized, w, y, rows, variant });
  const program = await b.finish('dp4a');
  program.run();
  const words = await gpu.readU32(quantized.q, (rows * inputs) / 4);
  const list = await gpu.readU32(quantized.outliers, 1 + MAX_OUTLIER_COLUMNS);
  const result = {
    y: await gpu.readF32(y, rows * outputs),
    xq: new Int8Array(words.buffer),
    xScale: await gpu.readF32(quantized.scale, rows),
    outliers: [...list.subarray(1, 1 + (list[0] ?? 0))],
  };
  program.destroy();
  arena.destroy();
  return result;
}

function randomCase(rows: number, inputs: number, outputs: number, peaks: readonly number[] = []): Case {
  const x = randomValues(1, rows * inputs, 0.5).map((value) => Math.max(-5.9, Math.min(5.9, value)));
  for (const [i, column] of peaks.entries()) x[(i % rows) * inputs + column] = (i % 2 ? -1 : 1) * (20 + i);
  return {
    rows,
    inputs,
    outputs,
    x,
    wq: Int8Array.from(randomValues(2, outputs * inputs, 50), (value) => Math.max(-127, Math.min(127, value))),
    wScale: Float32Array.from({ length: outputs }, (_, n) => 0.002 + 0.001 * (n % 7)),
  };
}

/** w_scale · (x_scale · Σ xq·wq + Σ outliers) from the GPU's own xq, and how far rounding x may move the true product. */
function reference({ rows, inputs, outputs, x, wq, wScale }: Case, made: Awaited<ReturnType<typeof multiply>>) {
  const exact = new Float64Array(rows * outputs);
  const truth = new Float64Array(rows * outputs);
  const bound = new Float64Array(rows * outputs);
  for (let m = 0; m < rows; m++) {
    for (let n = 0; n < outputs; n++) {
      let integer = 0; // exact: below 2^53
      let side = 0;
      let product = 0;
      let weights = 0;
      for (let k = 0; k < inputs; k++) {
        const weight = wq[n * inputs + k] ?? 0;
        integer += (made.xq[m * inputs + k] ?? 0) * weight;
        product += (x[m * inputs + k] ?? 0) * weight;
        if (made.outliers.includes(k)) side += (x[m * inputs + k] ?? 0) * weight;
        else weights += Math.abs(weight);
      }
      const s = wScale[n] ?? 0;
      exact[m * outputs + n] = s * ((made.xScale[m] ?? 0) * integer + side);
      truth[m * outputs + n] = s * product;
      bound[m * outputs + n] = s * (made.xScale[m] ?? 0) * 0.501 * weights + 1e-5;
    }
  }
  return { exact, truth, bound };
}

// (rows, inputs, outputs): remainders in every direction of every tile, fewer inputs than a slab, odd outputs.
const SHAPES = [
  [1, 64, 64],
  [3, 20, 7],
  [5, 64, 65],
  [65, 128, 32],
  [67, 44, 105],
  [130, 4, 130],
  [129, 68, 131],
] as const;
const VARIANTS = ['tile', 'workgroup64', 'workgroup128'] as const;

// llvmpipe takes half a minute of a loaded machine to compile the largest tile.
describe.each(VARIANTS)('int8 × int8 matmul, %s', { timeout: 240_000 }, (variant) => {
  it.each(SHAPES)('%i × %i → %i is the integer algorithm, within half a step of the true product', async (...shape) => {
    for (const peaks of [[], [0, 3], [2, 1, 0, 3]]) {
      const options = randomCase(...shape, peaks);
      const made = await multiply(options, variant);
      expect([...made.outliers].sort()).toEqual([...peaks].sort());
      const { exact, truth, bound } = reference(options, made);
      expect(relativeL2(made.y, exact)).toBeLessThan(1e-6);
      truth.forEach((value, i) => {
        expect(Math.abs((made.y[i] ?? Number.NaN) - value)).toBeLessThanOrEqual(bound[i] ?? 0);
      });
    }
  });

  it('sums in exact i32, far beyond what f32 counts', async () => {
    const [rows, inputs, outputs] = [2, 11008, 5];
    // Whole numbers up to 127 make every scale 1, so y is the sum itself; row 0 has the largest sum there is.
    const x = Float32Array.from({ length: rows * inputs }, (_, i) => (i < inputs ? 127 : ((i * 37) % 255) - 127));
    x[inputs] = 127;
    const wq = Int8Array.from({ length: outputs * inputs }, (_, i) => (i < inputs ? 127 : ((i * 91) % 255) - 127));
    const wScale = new Float32Array(outputs).fill(1);
    const made = await multiply({ rows, inputs, outputs, x, wq, wScale, threshold: Infinity }, variant);
    for (let m = 0; m < rows; m++) {
      for (let n = 0; n < outputs; n++) {
        let sum = 0;
        for (let k = 0; k < inputs; k++) sum += (x[m * inputs + k] ?? 0) * (wq[n * inputs + k] ?? 0);
        expect(made.y[m * outputs + n]).toBe(Math.fround(sum));
      }
    }
    expect(made.y[0]).toBe(127 * 127 * 11008);
  });
});

describe('outlier columns', () => {
  it('keep the error at that of ordinary activations, which one scale a row cannot', async () => {
    const error = async (threshold: number | undefined): Promise<number> => {
      const options = randomCase(33, 256, 48, [200, 7, 31]);
      const made = await multiply(threshold === undefined ? options : { ...options, threshold });
      return relativeL2(made.y, reference(options, made).truth);
    };
    const ordinary = randomCase(33, 256, 48);
    const plain = await multiply(ordinary);
    expect(await error(undefined)).toBeLessThan(relativeL2(plain.y, reference(ordinary, plain).truth));
    expect(await error(Number.POSITIVE_INFINITY)).toBeGreaterThan(3 * (await error(undefined)));
  });

  it('beyond the most that there can be go into int8 without clipping', async () => {
    const options = randomCase(
      9,
      256,
      33,
      Array.from({ length: MAX_OUTLIER_COLUMNS + 8 }, (_, i) => 3 * i),
    );
    const made = await multiply(options);
    expect(made.outliers).toHaveLength(MAX_OUTLIER_COLUMNS);
    const { exact, truth, bound } = reference(options, made);
    expect(relativeL2(made.y, exact)).toBeLessThan(1e-6);
    truth.forEach((value, i) => {
      expect(Math.abs((made.y[i] ?? Number.NaN) - value)).toBeLessThanOrEqual(bound[i] ?? 0);
    });
  });

  it('gives the same bits again', async () => {
    const options = randomCase(33, 256, 48, [200, 7, 31]);
    expect((await multiply(options)).y).toEqual((await multiply(options)).y);
  });
});

it('refuses f32 weights', async () => {
  const gpu = await testGpu();
  const arena = createArena(gpu.device);
  const x = createQuantizedRows(arena.alloc, 1, 4);
  const y = arena.alloc('y', 1);
  const w = { dtype: 'f32' as const, w: arena.alloc('w', 4), rows: 1, cols: 4 };
  expect(() => matmulForwardDp4a(createProgramBuilder(gpu), { x, w, y, rows: 1 })).toThrow(/expected int8/);
  arena.destroy();
});
