import { uniform } from '../../../../src/lora/uniform.ts';

/** A linear layer: `rows` tokens, W (outputs, inputs). */
export interface LinearShape {
  readonly rows: number;
  readonly inputs: number;
  readonly outputs: number;
}

/** forward: Y = X·Wᵀ. dX: dX = dY·W, the gradient by the input. */
export type Direction = 'forward' | 'dX';
export const DIRECTIONS: readonly Direction[] = ['forward', 'dX'];

/** One matmul c = a·b that everybody computes: a (m, k), b (k, n). */
export interface Product {
  readonly shape: LinearShape;
  readonly direction: Direction;
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly a: Float32Array<ArrayBuffer>;
  /** (k, n): Wᵀ forward, W backward. */
  readonly b: Float32Array<ArrayBuffer>;
  /** (n, k), the same numbers: W forward, Wᵀ backward. */
  readonly bTransposed: Float32Array<ArrayBuffer>;
  /** W itself (outputs, inputs), exactly f32(q · scale), so that int8 weights and f32 weights are the same matmul. */
  readonly weights: { readonly f32: Float32Array<ArrayBuffer>; readonly q: Int8Array<ArrayBuffer> };
  /** A scale for each row of W. */
  readonly scale: Float32Array<ArrayBuffer>;
  readonly flops: number;
}

/** Seeded data: activations uniform in ±1, weights uniform over int8 with row scales that differ. */
export function makeProduct(shape: LinearShape, direction: Direction): Product {
  const { rows, inputs, outputs } = shape;
  const scale = Float32Array.from({ length: outputs }, (_, n) => (0.5 + uniform(1, n)) / (127 * Math.sqrt(inputs)));
  const q = Int8Array.from({ length: outputs * inputs }, (_, i) => Math.floor(255 * uniform(2, i)) - 127);
  const w = Float32Array.from(q, (value, i) => value * (scale[Math.floor(i / inputs)] ?? 0));
  const wTransposed = transpose(w, outputs, inputs);
  const [k, n] = direction === 'forward' ? [inputs, outputs] : [outputs, inputs];
  return {
    shape,
    direction,
    m: rows,
    k,
    n,
    a: Float32Array.from({ length: rows * k }, (_, i) => 2 * uniform(3, i) - 1),
    b: direction === 'forward' ? wTransposed : w,
    bTransposed: direction === 'forward' ? w : wTransposed,
    weights: { f32: w, q },
    scale,
    flops: 2 * rows * inputs * outputs,
  };
}

/** (rows, cols) → (cols, rows). */
export function transpose(x: Float32Array, rows: number, cols: number): Float32Array<ArrayBuffer> {
  const y = new Float32Array(x.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < cols; c++) y[c * rows + r] = x[r * cols + c] ?? 0;
  return y;
}

/** Entries of c that are checked: the corners and others spread over the whole matrix. */
const CHECKED_ENTRIES = 64;

/**
 * Largest |c − c₆₄| over the checked entries, divided by the root mean square of c₆₄ there, where c₆₄ is summed in float64.
 * Throws RangeError when `c` has not m·n elements.
 */
export function relativeError(product: Pick<Product, 'm' | 'k' | 'n' | 'a' | 'bTransposed'>, c: Float32Array): number {
  const { m, k, n, a, bTransposed } = product;
  if (c.length !== m * n) throw new RangeError(`got ${c.length} results, expected ${m} × ${n}`);
  const corners = [0, n - 1, (m - 1) * n, m * n - 1];
  const spread = Array.from({ length: CHECKED_ENTRIES - 4 }, (_, i) => Math.floor(uniform(4, i) * m * n));
  let largest = 0;
  let squares = 0;
  for (const at of [...corners, ...spread]) {
    const row = Math.floor(at / n) * k;
    const column = (at % n) * k;
    let sum = 0;
    for (let i = 0; i < k; i++) sum += (a[row + i] ?? Number.NaN) * (bTransposed[column + i] ?? Number.NaN);
    const error = Math.abs((c[at] ?? Number.NaN) - sum);
    if (Number.isNaN(error)) return Number.NaN;
    largest = Math.max(largest, error);
    squares += sum * sum;
  }
  return largest / Math.sqrt(squares / CHECKED_ENTRIES);
}
