import { describe, expect, it } from 'vitest';
import { DIRECTIONS, makeProduct, relativeError, transpose } from './product.ts';

const SHAPE = { rows: 5, inputs: 32, outputs: 12 };

/** a·b summed in float64. */
function multiply(a: Float32Array, b: Float32Array, m: number, k: number, n: number): Float32Array {
  return Float32Array.from({ length: m * n }, (_, at) => {
    let sum = 0;
    for (let i = 0; i < k; i++) sum += (a[Math.floor(at / n) * k + i] ?? 0) * (b[i * n + (at % n)] ?? 0);
    return sum;
  });
}

it('transposes', () => {
  expect(Array.from(transpose(Float32Array.of(1, 2, 3, 4, 5, 6), 2, 3))).toEqual([1, 4, 2, 5, 3, 6]);
});

describe.each(DIRECTIONS)('%s', (direction) => {
  const product = makeProduct(SHAPE, direction);
  const { m, k, n, a, b } = product;

  it('is the linear layer’s product, in either layout of the weights', () => {
    expect([m, k, n]).toEqual(direction === 'forward' ? [5, 32, 12] : [5, 12, 32]);
    expect(product.b).toEqual(transpose(product.bTransposed, n, k));
    expect(direction === 'forward' ? product.bTransposed : product.b).toBe(product.weights.f32);
  });

  it('has weights that int8 and a row scale give exactly', () => {
    const { weights, scale } = product;
    const rebuilt = Float32Array.from(weights.q, (q, i) => q * (scale[Math.floor(i / SHAPE.inputs)] ?? 0));
    expect(rebuilt).toEqual(weights.f32);
    expect(new Set(scale).size).toBe(SHAPE.outputs);
    expect(Math.min(...weights.q)).toBeGreaterThanOrEqual(-127);
  });

  it('accepts the product and nothing else', () => {
    const right = multiply(a, b, m, k, n);
    expect(relativeError(product, right)).toBeLessThan(1e-6);
    // Another layout of the weights, one wrong row, a missing value.
    expect(relativeError(product, multiply(a, product.bTransposed, m, k, n))).toBeGreaterThan(0.1);
    const lastRow = right.map((value, i) => (i < (m - 1) * n ? value : 0));
    expect(relativeError(product, lastRow)).toBeGreaterThan(0.1);
    expect(
      relativeError(
        product,
        right.map((value, i) => (i === 0 ? Number.NaN : value)),
      ),
    ).toBeNaN();
    expect(() => relativeError(product, right.subarray(1))).toThrow(RangeError);
  });
});
