import { expect } from 'vitest';

/** Reproducible values, roughly normal, never a round number: (count) times `scale`. */
export function randomValues(seed: number, count: number, scale = 1): Float32Array<ArrayBuffer> {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0; // mulberry32
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return Float32Array.from(
    { length: count },
    () => scale * Math.sqrt(3) * (uniform() + uniform() - uniform() - uniform()),
  );
}

/** What an output buffer holds before the op: an op that forgets an element is caught by it. */
export function unwritten(count: number): Float32Array<ArrayBuffer> {
  return new Float32Array(count).fill(12345.678);
}

/** Relative L2 distance ‖actual − expected‖ / ‖expected‖; the plain norm of `actual` where nothing is expected. */
export function relativeL2(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < expected.length; i++) {
    difference += ((actual[i] ?? Number.NaN) - (expected[i] ?? Number.NaN)) ** 2;
    norm += (expected[i] ?? 0) ** 2;
  }
  return Math.sqrt(difference / (norm || 1));
}

/**
 * Asserts equal lengths, a relative L2 distance of at most `tolerance`, and no single element further off than 8 × tolerance
 * of the largest expected magnitude.
 */
export function expectAllClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 2e-6): void {
  expect(actual.length, 'number of elements').toBe(expected.length);
  const largest = Array.from(expected).reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  const worst = Array.from(expected).reduce(
    (best, value, i) => {
      const error = Math.abs((actual[i] ?? Number.NaN) - value);
      return error > best.error || Number.isNaN(error) ? { error, i } : best;
    },
    { error: 0, i: 0 },
  );
  const where = `at ${worst.i}: got ${actual[worst.i]}, expected ${expected[worst.i]}`;
  expect(relativeL2(actual, expected), `relative L2 distance; worst ${where}`).toBeLessThanOrEqual(tolerance);
  expect(worst.error, where).toBeLessThanOrEqual(8 * tolerance * (largest || 1));
}

/** Central differences of a float64 function: (f(x + h) − f(x − h)) / 2h for each element of x. */
export function numericGradient(f: (x: Float64Array) => number, x: ArrayLike<number>, h = 1e-5): Float64Array {
  const point = Float64Array.from(x);
  return point.map((value, i) => {
    const moved = Float64Array.from(point);
    moved[i] = value + h;
    const above = f(moved);
    moved[i] = value - h;
    return (above - f(moved)) / (2 * h);
  });
}

/** Σ a · b, the loss whose gradient by b is a. */
export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] ?? Number.NaN) * (b[i] ?? Number.NaN);
  return sum;
}
