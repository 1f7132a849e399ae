import { describe, expect, it } from 'vitest';
import { quicklyCompilingGpu, testGpu } from '../../test/gpu.ts';
import { randomValues, relativeL2 } from '../../test/reference.ts';
import { createArena } from '../gpu/buffers.ts';
import type { Gpu } from '../gpu/device.ts';
import { createProgramBuilder } from '../gpu/program.ts';
import { type MatmulDp4aVariant, matmulForwardDp4a } from './matmul_dp4a.ts';
import {
  type ActivationPlanes,
  createQuantizedRows,
  LARGEST_Q,
  MAX_OUTLIER_COLUMNS,
  quantizeActivations,
} from './quantize_activations.ts';

interface Case {
  readonly planes: ActivationPlanes;
  readonly rows: number;
  readonly inputs: number;
  readonly outputs: number;
  readonly x: Float32Array<ArrayBuffer>;
  readonly wq: Int8Array<ArrayBuffer>;
  readonly wScale: Float32Array<ArrayBuffer>;
  readonly threshold?: number;
}

/** Quantises x and multiplies on the GPU; what the quantiser made comes back with y, so that either is checked alone. */
async function multiply(options: Case, variant?: MatmulDp4aVariant, device: () => Promise<Gpu> = testGpu) {
  const { planes, rows, inputs, outputs, threshold } = options;
  const gpu = await device();
  const arena = createArena(gpu.device);
  const quantized = createQuantizedRows(arena.alloc, rows + 3, inputs + 8, planes); // larger than needed, as in a trainer
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
  const words = await gpu.readU32(quantized.q, (rows * planes * inputs) / 4);
  const list = await gpu.readU32(quantized.outliers, 1 + MAX_OUTLIER_COLUMNS);
  const result = {
    y: await gpu.readF32(y, rows * outputs),
    xq: joined(new Int8Array(words.buffer), rows, inputs, planes),
    xScale: await gpu.readF32(quantized.scale, rows),
    outliers: [...list.subarray(1, 1 + (list[0] ?? 0))],
  };
  program.destroy();
  arena.destroy();
  return result;
}

/** (rows, planes, inputs) bytes as the whole numbers (rows, inputs) that they make. */
function joined(bytes: Int8Array, rows: number, inputs: number, planes: ActivationPlanes): Int16Array {
  return Int16Array.from({ length: rows * inputs }, (_, i) => {
    const [at, k] = [Math.floor(i / inputs) * planes * inputs, i % inputs];
    return planes === 1 ? (bytes[at + k] ?? 0) : 256 * (bytes[at + k] ?? 0) + (bytes[at + inputs + k] ?? 0);
  });
}

function randomCase(
  planes: ActivationPlanes,
  [rows, inputs, outputs]: readonly [rows: number, inputs: number, outputs: number],
  peaks: readonly number[] = [],
): Case {
  const x = randomValues(1, rows * inputs, 0.5).map((value) => Math.max(-5.9, Math.min(5.9, value)));
  for (const [i, column] of peaks.entries()) x[(i % rows) * inputs + column] = (i % 2 ? -1 : 1) * (20 + i);
  return {
    planes,
    rows,
    inputs,
    outputs,
    x,
    wq: Int8Array.from(randomValues(2, outputs * inputs, 50), (value) => Math.max(-127, Math.min(127, value))),
    wScale: Float32Array.from({ length: outputs }, (_, n) => 0.002 + 0.001 * (n % 7)),
  };
}

/** w_scale · (x_scale · Σ xq·wq + Σ outliers) from the GPU's own xq, and how far rounding x may move the true product. */
function reference({ planes, rows, inputs, outputs, x, wq, wScale }: Case, made: Awaited<ReturnType<typeof multiply>>) {
  const exact = new Float64Array(rows * outputs);
  const truth = new Float64Array(rows * outputs);
  const bound = new Float64Array(rows * outputs);
  const halfStep = 0.5 + 1e-6 * LARGEST_Q[planes]; // the scale's own rounding in f32 grows with q
  for (let m = 0; m < rows; m++) {
    for (let n = 0; n < outputs; n++) {
      let integer = 0; // exact: below 2^53
      let side = 0;
      let product = 0;
      let weights = 0;
      let sizes = 0;
      for (let k = 0; k < inputs; k++) {
        const weight = wq[n * inputs + k] ?? 0;
        const term = (x[m * inputs + k] ?? 0) * weight;
        integer += (made.xq[m * inputs + k] ?? 0) * weight;
        product += term;
        sizes += Math.abs(term);
        if (made.outliers.includes(k)) side += term;
        else weights += Math.abs(weight);
      }
      const s = wScale[n] ?? 0;
      exact[m * outputs + n] = s * ((made.xScale[m] ?? 0) * integer + side);
      truth[m * outputs + n] = s * product;
      bound[m * outputs + n] = s * ((made.xScale[m] ?? 0) * halfStep * weights + 1e-6 * sizes);
    }
  }
  return { exact, truth, bound };
}

function expectWithin(y: Float32Array, { truth, bound }: ReturnType<typeof reference>): void {
  const off = [...truth].flatMap((value, i) => {
    const got = y[i] ?? Number.NaN;
    return Math.abs(got - value) <= (bound[i] ?? 0) ? [] : [{ i, got, value, bound: bound[i] }];
  });
  expect(off).toEqual([]);
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
  [19, 1040, 37], // more inputs than f32 sums exactly, the last load of 16 weights alone in its block
  [17, 1028, 39], // the last load of 4 weights alone
] as const;
const VARIANTS = [
  ['tile', testGpu],
  ['lanes', testGpu],
  ['lanes', quicklyCompilingGpu], // of another size, where there is a second adapter
  ['workgroup64', quicklyCompilingGpu],
  ['workgroup128', quicklyCompilingGpu],
] as const;
const WAYS = VARIANTS.flatMap(([variant, device]) => ([1, 2] as const).map((planes) => ({ variant, device, planes })));

describe.each(WAYS)('matmul of int8 weights and $planes planes, $variant', { timeout: 240_000 }, (way) => {
  const { variant, device, planes } = way;
  it.each(SHAPES)('%i × %i → %i is the integer algorithm, within half a step of the true product', async (...shape) => {
    for (const peaks of [[], [0, 3], [2, 1, 0, 3]]) {
      const options = randomCase(planes, shape, peaks);
      options.x.fill(0, (shape[0] - 1) * shape[1]); // a row of zeros, as padding is, but for an only row
      if (shape[0] === 1) options.x.set(randomValues(4, shape[1], 0.5));
      for (const [i, column] of peaks.entries()) options.x[(i % shape[0]) * shape[1] + column] = 20 + i;
      const made = await multiply(options, variant, device);
      expect([...made.outliers].sort()).toEqual([...peaks].sort());
      const expected = reference(options, made);
      expect(relativeL2(made.y, expected.exact)).toBeLessThan(1e-6);
      expectWithin(made.y, expected);
    }
  });

  it('sums in exact i32, far beyond what f32 counts', async () => {
    const [rows, inputs, outputs] = [2, 11008, 5];
    const largest = LARGEST_Q[planes];
    // Whole numbers up to the largest make every scale 1, so y is the sum itself; row 0 has the largest sum there is.
    const x = Float32Array.from({ length: rows * inputs }, (_, i) =>
      i < inputs ? largest : ((i * 37) % (2 * largest + 1)) - largest,
    );
    x[inputs] = largest;
    const wq = Int8Array.from({ length: outputs * inputs }, (_, i) => (i < inputs ? 127 : ((i * 91) % 255) - 127));
    const wScale = new Float32Array(outputs).fill(1);
    const made = await multiply({ planes, rows, inputs, outputs, x, wq, wScale, threshold: Infinity }, variant, device);
    for (let m = 0; m < rows; m++) {
      for (let n = 0; n < outputs; n++) {
        // Each plane's sum is exact; f32 rounds it, and once more where it joins them.
        const sums = { high: 0, low: 0 };
        for (let k = 0; k < inputs; k++) {
          const value = x[m * inputs + k] ?? 0;
          const high = planes === 1 ? 0 : Math.floor((value + 128) / 256);
          sums.high += high * (wq[n * inputs + k] ?? 0);
          sums.low += (value - 256 * high) * (wq[n * inputs + k] ?? 0);
        }
        const joint = Math.fround(256 * Math.fround(sums.high) + Math.fround(sums.low));
        expect(made.y[m * outputs + n]).toBe(joint);
      }
    }
    expect(made.y[0]).toBe(Math.fround(127 * 11008 * largest));
  });
});

describe.each([1, 2] as const)('outlier columns beside %i planes', (planes) => {
  it('keep the error at that of ordinary activations, which one scale a row cannot', async () => {
    const error = async (threshold: number | undefined): Promise<number> => {
      const options = randomCase(planes, [33, 256, 48], [200, 7, 31]);
      const made = await multiply(threshold === undefined ? options : { ...options, threshold });
      return relativeL2(made.y, reference(options, made).truth);
    };
    const ordinary = randomCase(planes, [33, 256, 48]);
    const plain = await multiply(ordinary);
    expect(await error(undefined)).toBeLessThan(relativeL2(plain.y, reference(ordinary, plain).truth));
    expect(await error(Number.POSITIVE_INFINITY)).toBeGreaterThan(3 * (await error(undefined)));
  });

  it('beyond the most that there can be go into int8 without clipping', async () => {
    const peaks = Array.from({ length: MAX_OUTLIER_COLUMNS + 8 }, (_, i) => 3 * i);
    const options = randomCase(planes, [9, 256, 33], peaks);
    const made = await multiply(options);
    expect(made.outliers).toHaveLength(MAX_OUTLIER_COLUMNS);
    const expected = reference(options, made);
    expect(relativeL2(made.y, expected.exact)).toBeLessThan(1e-6);
    expectWithin(made.y, expected);
  });

  it('leave a row with one huge value as exact as the others', async () => {
    const options = randomCase(planes, [5, 64, 9]);
    options.x[2 * 64 + 17] = -3e6;
    const made = await multiply(options);
    expect(made.outliers).toEqual([17]);
    expect(Math.max(...made.xScale)).toBeLessThanOrEqual(6 / LARGEST_Q[planes]);
    expectWithin(made.y, reference(options, made));
  });

  it('bring a NaN to every output of its row and to no other', async () => {
    const options = randomCase(planes, [5, 64, 9]);
    options.x[2 * 64 + 17] = Number.NaN;
    const { y } = await multiply(options);
    expect([...y].map((value) => Number.isNaN(value))).toEqual(Array.from(y, (_, i) => Math.floor(i / 9) === 2));
  });

  it('gives the same bits again', async () => {
    const options = randomCase(planes, [33, 256, 48], [200, 7, 31]);
    expect((await multiply(options)).y).toEqual((await multiply(options)).y);
  });
});

it('comes a hundred times closer to the true product with 16 bits than with 8', async () => {
  const [one, two] = [randomCase(1, [33, 256, 48], [7]), randomCase(2, [33, 256, 48], [7])];
  const [coarse, fine] = [await multiply(one), await multiply(two)];
  const { truth } = reference(two, fine);
  expect(relativeL2(coarse.y, truth)).toBeGreaterThan(1e-3);
  expect(relativeL2(fine.y, truth)).toBeLessThan(relativeL2(coarse.y, truth) / 100);
});

it('refuses f32 weights', async () => {
  const gpu = await testGpu();
  const arena = createArena(gpu.device);
  const x = createQuantizedRows(arena.alloc, 1, 4, 2);
  const y = arena.alloc('y', 1);
  const w = { dtype: 'f32' as const, w: arena.alloc('w', 4), rows: 1, cols: 4 };
  expect(() => matmulForwardDp4a(createProgramBuilder(gpu), { x, w, y, rows: 1 })).toThrow(/expected int8/);
  arena.destroy();
});
