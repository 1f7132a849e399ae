alias Chunk = vec4u; // four quads of weights, one load
fn quad_of(chunk: Chunk, q: u32) -> vec4f { return unpacked(chunk[q]); }
/** SwiftShader takes a component by a parameter only with a comparison for each of the four. */
fn quads_of(chunk: Chunk) -> array<vec4f, 4> {
  return array(unpacked(chunk.x), unpacked(chunk.y), unpacked(chunk.z), unpacked(chunk.w));
}
