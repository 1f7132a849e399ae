// What all dp4a kernels read and how they end: y[m, n] = w_scale[n] · (x_scale[m] · Σ_k xq[m, k] · wq[n, k] + the outlier
// columns in f32). Activations of 16 bits are two planes of int8, xq = 256 · high + low: PLANES adjacent rows of words, and
// sums of their own. The i32 sums are exact: 128 · 127 · inputs stays below 2³¹ up to 132 000 inputs.
struct Params { rows: u32, input_quads: u32, outputs: u32, limit: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> xq: array<Chunk>;          // (rows, PLANES, inputs / 4), four int8 a word
@group(0) @binding(2) var<storage, read> x_scale: array<f32>;       // (rows)
@group(0) @binding(3) var<storage, read> outliers: array<u32>;      // (1 + limit): count, columns
@group(0) @binding(4) var<storage, read> outlier_x: array<f32>;     // (rows, limit)
@group(0) @binding(5) var<storage, read_write> y: array<f32>;       // (rows, outputs)
@group(0) @binding(6) var<storage, read> wq: array<Chunk>;          // (outputs, inputs / 4)
@group(0) @binding(7) var<storage, read> w_scale: array<f32>;       // (outputs)

/** 2²⁴ times four int8: with its byte on top a word needs no shift to get its sign. */
fn unpacked(word: u32) -> vec4f {
  let top = vec4u(word * 0x1000000u, (word * 0x10000u) & 0xff000000u, (word * 0x100u) & 0xff000000u, word & 0xff000000u);
  return vec4f(bitcast<vec4i>(top));
}
/** One int8 weight. */
fn weight(row: u32, column: u32) -> f32 {
  let quad = row * params.input_quads + column / 4u;
  return quad_of(wq[quad / CHUNK_QUADS], quad % CHUNK_QUADS)[column % 4u] * 0x1p-24f;
}
