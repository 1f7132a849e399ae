import { describe, expect, it } from 'vitest';
import { randomValues } from '../../test/reference.ts';
import { ADAPTER_KINDS, runOp } from '../../test/run-op.ts';
import type { AdapterKind } from '../gpu/device.ts';
import { MAX_OUTLIER_COLUMNS, quantizeActivations, quantizedRowsElements } from './quantize_activations.ts';

/** Ordinary activations, below the threshold, with the given (row, column) → value put in. */
function activations(rows: number, inputs: number, peaks: readonly (readonly [number, number, number])[]) {
  const x = randomValues(7, rows * inputs, 0.5).map((value) => Math.max(-5.9, Math.min(5.9, value)));
  for (const [row, column, value] of peaks) x[row * inputs + column] = value;
  return x;
}

/** The same algorithm in float64, by its definition. */
function reference(x: Float32Array, rows: number, inputs: number) {
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
      if (!outliers.includes(k)) scale[m] = Math.max(scale[m] ?? 0, value / 127);
    }
    for (let k = 0; k < inputs; k++) {
      const exact = (x[m * inputs + k] ?? 0) / (scale[m] || 1);
      q[m * inputs + k] = outliers.includes(k) ? 0 : exact;
    }
  }
  return { outliers, scale, q };
}

async function quantise(x: Float32Array<ArrayBuffer>, rows: number, inputs: number, kind: AdapterKind, times = 1) {
  const elements = quantizedRowsElements(rows, inputs);
  const out = await runOp(
    {
      x,
      q: new Uint32Array(elements.q).fill(0x55555555),
      scale: new Float32Array(elements.scale).fill(-1),
      columns: new Uint32Array(elements.columns).fill(0x7f000000), // scratch may hold anything
      outliers: new Uint32Array(elements.outliers).fill(99),
      outlierX: new Float32Array(elements.outlierX).fill(-1),
    },
    (b, { x: view, ...quantized }) => {
      for (let i = 0; i < times; i++) quantizeActivations(b, { x: view, quantized, rows, inputs });
    },
    kind,
  );
  return { ...out, bytes: new Int8Array(out.q.buffer) };
}

function expectQuantised(
  got: Awaited<ReturnType<typeof quantise>>,
  x: Float32Array,
  rows: number,
  inputs: number,
): readonly number[] {
  const { outliers, scale, q } = reference(x, rows, inputs);
  expect([...got.outliers.subarray(0, 1 + outliers.length)]).toEqual([outliers.length, ...outliers]);
  expect([...got.columns]).toEqual(Array.from({ length: inputs }, (_, k) => (outliers.includes(k) ? 1 : 0)));
  for (let m = 0; m < rows; m++) {
    expect(Math.abs((got.scale[m] ?? -1) - (scale[m] ?? 0))).toBeLessThanOrEqual(3e-7 * (scale[m] ?? 0));
    for (let c = 0; c < MAX_OUTLIER_COLUMNS; c++) {
      const column = outliers[c];
      expect(got.outlierX[m * MAX_OUTLIER_COLUMNS + c]).toBe(column === undefined ? 0 : x[m * inputs + column]);
    }
  }
  // Rounded to the nearest step, but for the last bit of the division.
  q.forEach((exact, i) => {
    expect(Math.abs((got.bytes[i] ?? 99) - exact)).toBeLessThanOrEqual(0.5 + 1e-4);
  });
  return outliers;
}

describe.each(ADAPTER_KINDS)('int8 activations, as on %s', (kind) => {
  it.each([
    [1, 4],
    [3, 20],
    [5, 64],
    [9, 132],
    [67, 260],
  ] as const)('%i × %i without outliers', async (rows, inputs) => {
    const x = activations(rows, inputs, []);
    x.fill(0, (rows - 1) * inputs); // a row of zeros, as padding is
    expect(expectQuantised(await quantise(x, rows, inputs, kind), x, rows, inputs)).toEqual([]);
  });

  it('takes columns above the threshold out, the largest first', async () => {
    const x = activations(9, 132, [
      [2, 131, -40],
      [8, 0, 6.5],
      [8, 131, 7],
      [0, 57, 6.0000005], // the first float above
      [3, 58, 6],
    ]);
    expect(expectQuantised(await quantise(x, 9, 132, kind), x, 9, 132)).toEqual([131, 0, 57]);
  });

  it('gives the same on scratch that was used before', async () => {
    const x = activations(9, 132, [[2, 131, -40]]);
    expectQuantised(await quantise(x, 9, 132, kind, 3), x, 9, 132);
  });

  it('keeps the largest of too many, and lets the scale grow for the rest', async () => {
    const count = MAX_OUTLIER_COLUMNS + 9;
    const peaks = Array.from({ length: count }, (_, i) => [i % 5, 3 * i, 8 + ((i * 7) % 20)] as const); // with equal sizes
    const x = activations(5, 132, peaks);
    const outliers = expectQuantised(await quantise(x, 5, 132, kind), x, 5, 132);
    expect(outliers).toHaveLength(MAX_OUTLIER_COLUMNS);
    const { scale } = reference(x, 5, 132);
    expect(Math.max(...scale)).toBeGreaterThan(8 / 127);
  });

  it('takes a NaN for an outlier, so that it reaches the loss', async () => {
    const x = activations(3, 20, [[1, 7, Number.NaN]]);
    const got = await quantise(x, 3, 20, kind);
    expect([...got.outliers.subarray(0, 2)]).toEqual([1, 7]);
    expect(got.outlierX[MAX_OUTLIER_COLUMNS]).toBeNaN();
  });
});
