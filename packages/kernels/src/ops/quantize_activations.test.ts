import { describe, expect, it } from 'vitest';
import { randomValues } from '../../test/reference.ts';
import { ADAPTER_KINDS, runOp } from '../../test/run-op.ts';
import type { AdapterKind } from '../gpu/device.ts';
import {
  type ActivationPlanes,
  LARGEST_Q,
  MAX_OUTLIER_COLUMNS,
  quantizeActivations,
  quantizedRowsElements,
} from './quantize_activations.ts';

/** Ordinary activations, below the threshold, with the given (row, column) → value put in. */
function activations(rows: number, inputs: number, peaks: readonly (readonly [number, number, number])[]) {
  const x = randomValues(7, rows * inputs, 0.5).map((value) => Math.max(-5.9, Math.min(5.9, value)));
  for (const [row, column, value] of peaks) x[row * inputs + column] = value;
  return x;
}

/** The same algorithm in float64, by its definition. */
function reference(x: Float32Array, { rows, inputs, planes }: Shape) {
  const step = LARGEST_Q[planes];
  const largest = Array.from({ length: inputs }, (_, k) =>
    Math.max(...Array.from({ length: rows }, (_, m) => Math.abs(x[m * inputs + k] ?? 0))),
  );
  const outliers = largest
    .map((size, column) => ({ size, column }))
    .filter(({ size }) => size > 6)
    .sort((a, b) => b.size - a.size || a.column - b.column)
    .slice(0, MAX_OUTLIER_COLUMNS)
    .map(({ column }) => column);
  const scale = new Float64Array(rows);
  const q = new Float64Array(rows * inputs);
  for (let m = 0; m < rows; m++) {
    for (let k = 0; k < inputs; k++) {
      const value = Math.abs(x[m * inputs + k] ?? 0);
      if (!outliers.includes(k)) scale[m] = Math.max(scale[m] ?? 0, value / step);
    }
    for (let k = 0; k < inputs; k++) {
      const exact = (x[m * inputs + k] ?? 0) / (scale[m] || 1);
      q[m * inputs + k] = outliers.includes(k) ? 0 : exact;
    }
  }
  return { outliers, scale, q };
}

interface Shape {
  readonly rows: number;
  readonly inputs: number;
  readonly planes: ActivationPlanes;
}

async function quantise(x: Float32Array<ArrayBuffer>, shape: Shape, kind: AdapterKind, times = 1) {
  const { rows, inputs, planes } = shape;
  const elements = quantizedRowsElements(rows, inputs, planes);
  const out = await runOp(
    {
      x,
      q: new Uint32Array(elements.q).fill(0x55555555),
      scale: new Float32Array(elements.scale).fill(-1),
      columns: new Uint32Array(elements.columns).fill(0x7f000000), // scratch may hold anything
      outliers: new Uint32Array(elements.outliers).fill(99),
      outlierX: new Float32Array(elements.outlierX).fill(-1),
    },
    (b, { x: view, ...buffers }) => {
      const quantized = { planes, ...buffers };
      for (let i = 0; i < times; i++) quantizeActivations(b, { x: view, quantized, rows, inputs });
    },
    kind,
  );
  const bytes = new Int8Array(out.q.buffer);
  const plane = (index: number) =>
    Int32Array.from({ length: rows * inputs }, (_, i) => {
      const row = Math.floor(i / inputs);
      return bytes[(row * planes + index) * inputs + (i % inputs)] ?? 99;
    });
  const [first, low] = [plane(0), plane(planes - 1)];
  return { ...out, high: first, whole: planes === 1 ? first : first.map((value, i) => 256 * value + (low[i] ?? 99)) };
}

/** Everything against float64: the largest outliers in their order, flags, scales, f32 copies, and whole numbers. */
function expectQuantised(got: Awaited<ReturnType<typeof quantise>>, x: Float32Array, shape: Shape): readonly number[] {
  const { rows, inputs, planes } = shape;
  const { outliers, scale, q } = reference(x, shape);
  expect([...got.outliers.subarray(0, 1 + outliers.length)]).toEqual([outliers.length, ...outliers]);
  expect([...got.columns]).toEqual(Array.from({ length: inputs }, (_, k) => (outliers.includes(k) ? 1 : 0)));
  for (let m = 0; m < rows; m++) {
    expect(Math.abs((got.scale[m] ?? -1) - (scale[m] ?? 0))).toBeLessThanOrEqual(3e-7 * (scale[m] ?? 0));
    for (let c = 0; c < MAX_OUTLIER_COLUMNS; c++) {
      const column = outliers[c];
      expect(got.outlierX[m * MAX_OUTLIER_COLUMNS + c]).toBe(column === undefined ? 0 : x[m * inputs + column]);
    }
  }
  // Rounded to the nearest step, but for the last bits of the division, which grow with q.
  const off = [...q].flatMap((exact, i) => {
    const whole = got.whole[i] ?? Number.NaN;
    return Math.abs(whole - exact) <= 0.5 + 1e-6 * LARGEST_Q[planes] ? [] : [{ i, exact, whole }];
  });
  expect(off).toEqual([]);
  expect(Math.max(...got.high.map(Math.abs))).toBeLessThanOrEqual(127); // low may be −128
  return outliers;
}

const WAYS = ADAPTER_KINDS.flatMap((kind) => ([1, 2] as const).map((planes) => ({ kind, planes })));

describe.each(WAYS)('activations in $planes planes, as on $kind', ({ kind, planes }) => {
  it.each([
    [1, 4],
    [3, 20],
    [5, 64],
    [9, 132],
    [67, 260],
  ] as const)('%i × %i without outliers', async (rows, inputs) => {
    const x = activations(rows, inputs, []);
    x.fill(0, (rows - 1) * inputs); // a row of zeros, as padding is
    const shape = { rows, inputs, planes };
    expect(expectQuantised(await quantise(x, shape, kind), x, shape)).toEqual([]);
  });

  it('takes columns above the threshold out, the largest first', async () => {
    const x = activations(9, 132, [
      [2, 131, -40],
      [8, 0, 6.5],
      [8, 131, 7],
      [0, 57, 6.0000005], // the first float above
      [3, 58, 6],
    ]);
    expect(
      expectQuantised(await quantise(x, { rows: 9, inputs: 132, planes }, kind), x, { rows: 9, inputs: 132, planes }),
    ).toEqual([131, 0, 57]);
  });

  it('gives the same on scratch that was used before', async () => {
    const x = activations(9, 132, [[2, 131, -40]]);
    expectQuantised(await quantise(x, { rows: 9, inputs: 132, planes }, kind, 3), x, { rows: 9, inputs: 132, planes });
  });

  it('keeps the largest of too many, and lets the scale grow for the rest', async () => {
    const count = MAX_OUTLIER_COLUMNS + 9;
    const peaks = Array.from({ length: count }, (_, i) => [i % 5, 3 * i, 8 + ((i * 7) % 20)] as const); // with equal sizes
    const x = activations(5, 132, peaks);
    const outliers = expectQuantised(await quantise(x, { rows: 5, inputs: 132, planes }, kind), x, {
      rows: 5,
      inputs: 132,
      planes,
    });
    expect(outliers).toHaveLength(MAX_OUTLIER_COLUMNS);
    const { scale } = reference(x, { rows: 5, inputs: 132, planes });
    expect(Math.max(...scale)).toBeGreaterThan(8 / LARGEST_Q[planes]);
  });

  it('takes a NaN for an outlier, so that it reaches the loss', async () => {
    const x = activations(3, 20, [[1, 7, Number.NaN]]);
    const got = await quantise(x, { rows: 3, inputs: 20, planes }, kind);
    expect([...got.outliers.subarray(0, 2)]).toEqual([1, 7]);
    expect(got.outlierX[MAX_OUTLIER_COLUMNS]).toBeNaN();
  });

  it('gives a row’s largest the largest number there is, whatever its sign and size', async () => {
    const [rows, inputs] = [61, 8];
    const sizes = randomValues(5, rows, 1).map((value, m) => (Math.abs(value) + 1e-3) * 2 ** -(m % 30)); // below the threshold
    const x = Float32Array.from({ length: rows * inputs }, (_, i) => {
      const size = sizes[Math.floor(i / inputs)] ?? 0;
      return [size, -size, -size, size / 3, 0, -size / 256, size / 512, -size / 7][i % inputs] ?? 0;
    });
    const shape = { rows, inputs, planes };
    const got = await quantise(x, shape, kind);
    expectQuantised(got, x, shape);
    const largest = LARGEST_Q[planes];
    for (let m = 0; m < rows; m++) {
      expect([...got.whole.subarray(m * inputs, m * inputs + 3)]).toEqual([largest, -largest, -largest]);
    }
  });

  it('takes one huge value of a row out, so that the others keep their steps', async () => {
    const shape = { rows: 7, inputs: 36, planes };
    const x = activations(7, 36, [[4, 33, -1e30]]);
    const got = await quantise(x, shape, kind);
    expect(expectQuantised(got, x, shape)).toEqual([33]);
    expect(Math.max(...got.scale)).toBeLessThanOrEqual(6 / LARGEST_Q[planes]);
  });
});
