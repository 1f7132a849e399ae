@group(0) @binding(W_BINDING) var<storage, read> w: array<u32>;      // (outputs, inputs / 4), four int8 a word
@group(0) @binding(SCALE_BINDING) var<storage, read> scale: array<f32>;  // (outputs)

fn weights(quad: u32) -> vec4<f16> { return vec4<f16>(unpack4xI8(w[quad])); } // exact
fn weight_scale(row: u32) -> f32 { return scale[row]; }
