
/** Every thread holds whole sums. */
fn finish(group: vec3u, thread: u32, sums: array<f32, SUMS>) {
  // unroll
  for (var i = 0u; i < SUMS; i++) { emit(group, thread, i, sums[i]); }
}
