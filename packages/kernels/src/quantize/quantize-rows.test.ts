import { describe, expect, it } from 'vitest';
import { quantizeRows } from './quantize-rows.ts';

describe('quantizeRows', () => {
  it('rounds halves to even and keeps ±127', () => {
    // max 127 makes the scale exactly 1, so that the halves are exact.
    const w = Float32Array.of(127, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 3.4999, -127, 0.4999, 125.5, -126.5);
    const { q, scale } = quantizeRows(w, 1, 12);
    expect([...scale]).toEqual([1]);
    expect([...q]).toEqual([127, 0, 2, 2, 0, -2, -2, 3, -127, 0, 126, -126]);
  });

  it('gives scale 0 to a row of zeros only', () => {
    const { q, scale } = quantizeRows(Float32Array.of(0, -0, 0, 0, 3e-30, -1e-30), 3, 2);
    expect([...q]).toEqual([0, 0, 0, 0, 127, -42]);
    expect(scale[0]).toBe(0);
    expect(scale[1]).toBe(0);
    expect(scale[2]).toBe(Math.fround(Math.fround(3e-30) / 127));
  });

  it('stays within half a step of every weight, in every row, at any magnitude', () => {
    const [rows, cols] = [9, 37];
    const w = Float32Array.from(
      { length: rows * cols },
      (_, i) => Math.sin(i * 1.7) * 10 ** (Math.floor(i / cols) * 3 - 12),
    );
    const { q, scale } = quantizeRows(w, rows, cols);
    for (let i = 0; i < w.length; i++) {
      const s = scale[Math.floor(i / cols)] ?? 0;
      expect(Math.abs((w[i] ?? 0) - (q[i] ?? 0) * s)).toBeLessThanOrEqual(s * 0.5 * (1 + 1e-5));
    }
    for (let row = 0; row < rows; row++) {
      const values = q.subarray(row * cols, (row + 1) * cols);
      expect(Math.max(...values.map(Math.abs))).toBe(127);
    }
  });

  it('is the same from a view into a larger buffer', () => {
    const all = Float32Array.from({ length: 20 }, (_, i) => Math.cos(i));
    const view = all.subarray(3, 15);
    expect(quantizeRows(view, 4, 3)).toEqual(quantizeRows(view.slice(), 4, 3));
  });

  it('refuses NaN, infinity and a wrong size', () => {
    expect(() => quantizeRows(Float32Array.of(1, 2, Number.NaN, 4), 2, 2)).toThrow(/row 1/);
    expect(() => quantizeRows(Float32Array.of(Number.NEGATIVE_INFINITY, 2), 1, 2)).toThrow(/row 0/);
    expect(() => quantizeRows(new Float32Array(5), 2, 3)).toThrow(/5.*2 × 3/);
  });
});
