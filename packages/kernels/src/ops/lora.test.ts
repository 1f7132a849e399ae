import { describe, expect, it } from 'vitest';
import { testGpu } from '../../test/gpu.ts';
import { createArena } from '../gpu/buffers.ts';
import { createProgramBuilder } from '../gpu/program.ts';
import { loraBackward, loraForward } from './lora.ts';
import type { LoraVariant } from './lora_kernels.ts';
import { STEP, STEP_ELEMENTS } from './step_values.ts';

const at = (data: ArrayLike<number>, i: number): number => data[i] ?? Number.NaN;

/** Deterministic values in (−1, 1), so that a failure repeats. */
function values(length: number, seed: number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length }, (_, i) => Math.sin(i * 12.9898 + seed * 78.233) * Math.cos(i * 0.37 + seed));
}

function relativeL2(got: ArrayLike<number>, expected: ArrayLike<number>): number {
  let error = 0;
  let norm = 0;
  for (let i = 0; i < expected.length; i++) {
    error += (at(got, i) - at(expected, i)) ** 2;
    norm += at(expected, i) ** 2;
  }
  return Math.sqrt(error / norm);
}

function mix(value: number): number {
  let h = value >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x7feb352d);
  h = Math.imul(h ^ (h >>> 15), 0x846ca68b);
  return (h ^ (h >>> 16)) >>> 0;
}

/** The factors 0 or 1 / (1 − probability) of a site, from the definition in dropout.wgsl. */
function mask(length: number, probability: number, seed: number, salt: number): Float64Array {
  const key = mix(seed ^ mix((salt + 0x9e3779b9) >>> 0));
  return Float64Array.from({ length }, (_, e) =>
    mix(e ^ key) >= Math.round(probability * 2 ** 32) ? 1 / (1 - probability) : 0,
  );
}

interface Shape {
  readonly rows: number;
  readonly inputs: number;
  readonly outputs: number;
  readonly rank: number;
  readonly scale: number;
}

/** float64 reference of the adapter's output, (rows, outputs), and of z. */
function reference(shape: Shape, x: ArrayLike<number>, a: ArrayLike<number>, b: ArrayLike<number>, keep: Float64Array) {
  const { rows, inputs, outputs, rank, scale } = shape;
  const z = new Float64Array(rows * rank);
  const y = new Float64Array(rows * outputs);
  for (let m = 0; m < rows; m++) {
    for (let r = 0; r < rank; r++) {
      let sum = 0;
      for (let k = 0; k < inputs; k++) {
        const e = m * inputs + k;
        sum += at(x, e) * at(keep, e) * at(a, r * inputs + k);
      }
      z[m * rank + r] = sum;
    }
    for (let n = 0; n < outputs; n++) {
      let sum = 0;
      for (let r = 0; r < rank; r++) sum += at(z, m * rank + r) * at(b, n * rank + r);
      y[m * outputs + n] = scale * sum;
    }
  }
  return { y, z };
}

/** dL/d(each element) of L = Σ dy · y by central differences; exact up to rounding, for L is linear in each element. */
function centralDifferences(variable: Float64Array, dy: ArrayLike<number>, forward: () => Float64Array): Float64Array {
  const loss = () => forward().reduce((sum, value, i) => sum + value * at(dy, i), 0);
  return variable.map((value, i) => {
    variable[i] = value + 0.5;
    const up = loss();
    variable[i] = value - 0.5;
    const low = loss();
    variable[i] = value;
    return up - low;
  });
}

const SEED = 0xc0ffee42;
const SALT = 17;

async function run(shape: Shape, probability: number, variant: LoraVariant) {
  const { rows, inputs, outputs, rank } = shape;
  const gpu = await testGpu();
  const arena = createArena(gpu.device);
  const [aOffset, bOffset] = [5, 5 + rank * inputs + 3]; // the slices need no alignment
  const length = bOffset + outputs * rank + 2;
  const data = {
    x: values(rows * inputs, 1),
    y: values(rows * outputs, 2),
    dy: values(rows * outputs, 3),
    dx: values(rows * inputs, 4),
    adapter: values(length, 5),
    dAdapter: values(length, 6),
  };
  const stepBits = new Uint32Array(STEP_ELEMENTS);
  stepBits[STEP.dropoutSeed] = SEED;
  const step = arena.upload('step', stepBits);
  const views = {
    x: arena.upload('x', data.x),
    y: arena.upload('y', data.y),
    dy: arena.upload('dy', data.dy),
    dx: arena.upload('dx', data.dx),
    adapter: arena.upload('adapter', data.adapter),
    dAdapter: arena.upload('dAdapter', data.dAdapter),
    z: arena.alloc('z', rows * rank),
    dz: arena.alloc('dz', rows * rank),
  };
  const matrices = { a: { view: views.adapter, offset: aOffset }, b: { view: views.adapter, offset: bOffset } };
  const gradients = { da: { view: views.dAdapter, offset: aOffset }, db: { view: views.dAdapter, offset: bOffset } };
  const op = { ...views, ...matrices, ...gradients, ...shape, variant, dropout: { probability, step, salt: SALT } };
  const b = createProgramBuilder(gpu);
  loraForward(b, op);
  loraBackward(b, op);
  const program = await b.finish('lora');
  program.run();
  const got = {
    y: await gpu.readF32(views.y, rows * outputs),
    z: await gpu.readF32(views.z, rows * rank),
    dx: await gpu.readF32(views.dx, rows * inputs),
    dAdapter: await gpu.readF32(views.dAdapter, length),
  };
  program.destroy();
  arena.destroy();
  const a = Float64Array.from(data.adapter.slice(aOffset, aOffset + rank * inputs));
  const bMatrix = Float64Array.from(data.adapter.slice(bOffset, bOffset + outputs * rank));
  return { data, got, a, bMatrix, aOffset, bOffset, keep: mask(rows * inputs, probability, SEED, SALT) };
}

const plus = (x: ArrayLike<number>, y: ArrayLike<number>): Float64Array =>
  Float64Array.from({ length: x.length }, (_, i) => at(x, i) + at(y, i));

// Ranks below, at and above a tile and not a multiple of it; one row; more rows than a tile; outputs in multiples of 4 and not.
const SHAPES: readonly Shape[] = [
  { rows: 1, inputs: 12, outputs: 7, rank: 4, scale: 2 },
  { rows: 19, inputs: 20, outputs: 36, rank: 6, scale: 0.7 },
  { rows: 3, inputs: 20, outputs: 33, rank: 3, scale: 0.5 },
  { rows: 11, inputs: 36, outputs: 10, rank: 8, scale: 2 },
  { rows: 65, inputs: 8, outputs: 12, rank: 17, scale: 1.5 },
];

describe.each(['quads', 'lanes', 'workgroup'] as const)('LoRA, %s variant', (variant) => {
  it.each(SHAPES.flatMap((shape) => [0, 0.3].map((dropout) => ({ ...shape, dropout }))))(
    'agrees with float64 and central differences: $rows × $inputs → $outputs, rank $rank, dropout $dropout',
    async ({ dropout, ...shape }) => {
      const { data, got, a, bMatrix, aOffset, bOffset, keep } = await run(shape, dropout, variant);
      const x = Float64Array.from(data.x);
      const forward = () => reference(shape, x, a, bMatrix, keep).y;
      expect(relativeL2(got.z, reference(shape, x, a, bMatrix, keep).z)).toBeLessThan(1e-5);
      expect(relativeL2(got.y, plus(data.y, forward()))).toBeLessThan(1e-5);
      expect(relativeL2(got.dx, plus(data.dx, centralDifferences(x, data.dy, forward)))).toBeLessThan(1e-5);
      const expected = Float64Array.from(data.dAdapter);
      for (const [offset, variable] of [
        [aOffset, a],
        [bOffset, bMatrix],
      ] as const) {
        centralDifferences(variable, data.dy, forward).forEach((gradient, i) => {
          expected[offset + i] = at(expected, offset + i) + gradient;
        });
      }
      expect(relativeL2(got.dAdapter, expected)).toBeLessThan(1e-5);
    },
  );
});

it('drops about the asked share, differently for every seed and site', () => {
  const one = mask(20_000, 0.3, 1, 1);
  const zeros = one.filter((factor) => factor === 0).length;
  expect(zeros / 20_000).toBeGreaterThan(0.28);
  expect(zeros / 20_000).toBeLessThan(0.32);
  for (const other of [mask(20_000, 0.3, 2, 1), mask(20_000, 0.3, 1, 2)]) {
    const same = one.filter((factor, i) => factor === other[i]).length;
    expect(same / 20_000).toBeLessThan(0.62); // independent masks agree on 0.3² + 0.7² = 0.58 of the elements
  }
});
