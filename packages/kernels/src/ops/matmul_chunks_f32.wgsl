alias Chunk = vec4f;
@group(0) @binding(3) var<storage, read> w: array<Chunk>;  // (outputs, inputs / 4)

fn quad_of(chunk: Chunk, q: u32) -> vec4f { return chunk; }
fn quads_of(chunk: Chunk) -> array<vec4f, 1> { return array(chunk); }
fn weight_scale(row: u32) -> f32 { return 1.0; }
