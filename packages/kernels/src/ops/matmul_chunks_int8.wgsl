@group(0) @binding(3) var<storage, read> w: array<Chunk>;    // (outputs, inputs / 4 / CHUNK_QUADS), four int8 a word
@group(0) @binding(4) var<storage, read> scale: array<f32>;  // (outputs)

fn unpacked(word: u32) -> vec4f { return vec4f(unpack4xI8(word)); }
fn weight_scale(row: u32) -> f32 { return scale[row]; }
