// Multiply-adds from registers to registers: CHAINS independent sums of VALUES lanes. With factor and addend 1, which the
// compiler does not know, every sum counts the turns, so the result shows whether all of them were done.
struct Params { turns: u32, factor: f32, addend: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> results: array<f32>;

@compute @workgroup_size(64)
fn peak_fma(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let factor = Value(Scalar(params.factor));
  let addend = Value(Scalar(params.addend));
  var sums: array<Value, CHAINS>;
  // unroll
  for (var i = 0u; i < CHAINS; i++) { sums[i] = Value(Scalar(i + lane % 2u)); } // not the same for all threads
  for (var turn = 0u; turn < params.turns; turn++) {
    // unroll
    for (var step = 0u; step < STEPS; step++) {
      // unroll
      for (var i = 0u; i < CHAINS; i++) {
        if (FUSED == 1u) { sums[i] = fma(sums[i], factor, addend); } else { sums[i] = sums[i] * factor + addend; }
      }
    }
  }
  var total = vec4f();
  // unroll
  for (var i = 0u; i < CHAINS; i++) { total += vec4f(sums[i]); }
  results[(group.x * 64u + lane) % RESULTS] = total.x + total.y + total.z + total.w;
}
