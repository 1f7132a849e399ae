alias Chunk = u32; // one quad of weights
fn quad_of(chunk: Chunk, q: u32) -> vec4f { return unpacked(chunk); }
fn quads_of(chunk: Chunk) -> array<vec4f, 1> { return array(unpacked(chunk)); }
