
// SPLIT threads hold parts of the same sums, which meet in workgroup memory.
const PARTS = LANES * SPLIT + 1; // one of padding against bank conflicts
var<workgroup> parts: array<f32, SUMS * PARTS>;  // (sum, split, lane)

fn finish(group: vec3u, thread: u32, sums: array<f32, SUMS>) {
  // unroll
  for (var i = 0u; i < SUMS; i++) { parts[i * PARTS + thread] = sums[i]; }
  workgroupBarrier();
  for (var at = thread; at < SUMS * LANES; at += LANES * SPLIT) {
    var sum = 0.0;
    for (var s = 0u; s < SPLIT; s++) { sum += parts[(at / LANES) * PARTS + s * LANES + at % LANES]; }
    emit(group, at % LANES, at / LANES, sum);
  }
}
