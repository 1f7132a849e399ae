alias Chunk = vec4u; // four quads of weights, one load
fn word_of(chunk: Chunk, q: u32) -> u32 { return chunk[q]; }
fn rotated(chunk: Chunk) -> Chunk { return chunk.yzwx; }
