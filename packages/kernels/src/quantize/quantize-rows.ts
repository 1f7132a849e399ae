export interface QuantizedRows {
  /** (rows, cols), row-major. */
  readonly q: Int8Array<ArrayBuffer>;
  /** One scale a row: w ≈ q · scale. */
  readonly scale: Float32Array<ArrayBuffer>;
}

// Adding and taking away 1.5 · 2^52 rounds a small float64 to the nearest whole number, ties to even.
const ROUND = 6755399441055744;

/**
 * Symmetric int8, one scale per row: s = max|row| / 127, q = clamp(round-half-to-even(w / s), −127, 127), all in f32.
 * A row of zeros has s = 0 and q = 0. w: (rows, cols), row-major. |w − q·s| ≤ s/2.
 * Throws RangeError for NaN or infinity, naming the row.
 */
export function quantizeRows(w: Float32Array, rows: number, cols: number): QuantizedRows {
  if (w.length !== rows * cols) throw new RangeError(`got ${w.length} weights, expected ${rows} × ${cols}`);
  // Without the sign bit, f32 bit patterns order as whole numbers, and NaN and infinity come last.
  const bits = new Int32Array(w.buffer, w.byteOffset, w.length);
  const largest = new Int32Array(1);
  const largestValue = new Float32Array(largest.buffer);
  const q = new Int8Array(rows * cols);
  const scale = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    const end = (row + 1) * cols;
    let max = 0;
    for (let i = row * cols; i < end; i++) {
      const magnitude = bits[i]! & 0x7fffffff; // i < w.length
      if (magnitude > max) max = magnitude;
    }
    if (max >= 0x7f800000) throw new RangeError(`row ${row} holds NaN or infinity`);
    largest[0] = max;
    const s = Math.fround(largestValue[0]! / 127); // one element
    scale[row] = s;
    if (s === 0) continue;
    for (let i = row * cols; i < end; i++) {
      const rounded = Math.fround(w[i]! / s) + ROUND - ROUND; // i < w.length
      q[i] = Math.max(-127, Math.min(127, rounded));
    }
  }
  return { q, scale };
}
