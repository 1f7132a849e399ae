alias Chunk = u32; // one quad of weights
fn word_of(chunk: Chunk, q: u32) -> u32 { return chunk; }
fn rotated(chunk: Chunk) -> Chunk { return chunk; }
