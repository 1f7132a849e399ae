@group(0) @binding(3) var<storage, read> w: array<u32>;      // (outputs, inputs / 4), four int8 a word
@group(0) @binding(4) var<storage, read> scale: array<f32>;  // (outputs)

fn weights(quad: u32) -> vec4f { return vec4f(unpack4xI8(w[quad])); }
fn weight_scale(row: u32) -> f32 { return scale[row]; }
