@group(0) @binding(3) var<storage, read> w: array<vec4f>;  // (outputs, inputs / 4)

fn weights(quad: u32) -> vec4f { return w[quad]; }
fn weight_scale(row: u32) -> f32 { return 1.0; }
