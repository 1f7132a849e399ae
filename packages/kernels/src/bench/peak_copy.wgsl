// Reads one buffer and writes another, or (IN_PLACE) reads and writes the same, EACH values a thread, neighbouring threads
// neighbouring values.
struct Params { values: u32, addend: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Value>;
@group(0) @binding(2) var<storage, read_write> y: array<Value>;

@compute @workgroup_size(64)
fn peak_copy(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let first = (group.y * groups.x + group.x) * 64u * EACH + lane;
  // unroll
  for (var i = 0u; i < EACH; i++) {
    let at = first + i * 64u;
    if (at < params.values) {
      if (IN_PLACE == 1u) { y[at] = y[at] + Value(params.addend); } else { y[at] = x[at] + Value(params.addend); }
    }
  }
}
