@group(0) @binding(W_BINDING) var<storage, read> w: array<vec4f>;  // (outputs, inputs / 4)

fn weights(quad: u32) -> vec4<f16> { return vec4<f16>(clamp(w[quad], vec4f(-65504.0), vec4f(65504.0))); }
fn weight_scale(row: u32) -> f32 { return 1.0; }
