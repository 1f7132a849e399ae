@group(0) @binding(3) var<storage, read> w: array<Chunk>;    // (outputs, inputs / 4 / CHUNK_QUADS), four int8 a word
@group(0) @binding(4) var<storage, read> scale: array<f32>;  // (outputs)

/**
 * 2²⁴ times four weights, which the scale takes back without rounding: with its byte on top a word needs no shift to get its
 * sign. SwiftShader shifts lane by lane (60 ns for unpack4xI8 against 4 for this), and multiplies all lanes at once.
 */
fn unpacked(word: u32) -> vec4f {
  let top = vec4u(word * 0x1000000u, (word * 0x10000u) & 0xff000000u, (word * 0x100u) & 0xff000000u, word & 0xff000000u);
  return vec4f(bitcast<vec4i>(top));
}
fn weight_scale(row: u32) -> f32 { return scale[row] * 0x1p-24f; }
