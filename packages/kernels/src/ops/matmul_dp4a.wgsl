// What both dp4a kernels read and how they end: y[m, n] = w_scale[n] · (x_scale[m] · Σ_k xq[m, k] · wq[n, k] + the outlier
// columns in f32). Activations of 16 bits are two planes of int8, xq = 256 · high + low: PLANES adjacent rows of words, and
// sums of their own. The i32 sums are exact: 128 · 127 · inputs stays below 2³¹ up to 132 000 inputs.
struct Params { rows: u32, input_quads: u32, outputs: u32, limit: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> xq: array<u32>;            // (rows, PLANES, inputs / 4), four int8 a word
@group(0) @binding(2) var<storage, read> x_scale: array<f32>;       // (rows)
@group(0) @binding(3) var<storage, read> outliers: array<u32>;      // (1 + limit): count, columns
@group(0) @binding(4) var<storage, read> outlier_x: array<f32>;     // (rows, limit)
@group(0) @binding(5) var<storage, read_write> y: array<f32>;       // (rows, outputs)
@group(0) @binding(6) var<storage, read> wq: array<u32>;            // (outputs, inputs / 4)
@group(0) @binding(7) var<storage, read> w_scale: array<f32>;       // (outputs)

/** One int8 weight. */
fn weight(row: u32, column: u32) -> f32 {
  let word = bitcast<i32>(wq[row * params.input_quads + column / 4u]);
  return f32(extractBits(word, column % 4u * 8u, 8u));
}
