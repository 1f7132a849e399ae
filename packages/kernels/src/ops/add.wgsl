struct Params { values: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<Value>; // (values)
@group(0) @binding(2) var<storage, read> y: array<Value>; // (values)

@compute @workgroup_size(64)
fn add(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let i = (group.y * groups.x + group.x) * 64u + local;
  if (i < params.values) { x[i] += y[i]; }
}
