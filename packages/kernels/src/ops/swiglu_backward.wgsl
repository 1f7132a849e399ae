struct Params { values: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> gate: array<Value>; // (values)
@group(0) @binding(2) var<storage, read_write> up: array<Value>; // (values)
@group(0) @binding(3) var<storage, read> dy: array<Value>; // (values)

@compute @workgroup_size(64)
fn swiglu_backward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let i = (group.y * groups.x + group.x) * 64u + local;
  if (i >= params.values) { return; }
  let g = gate[i];
  let u = up[i];
  let sigmoid = 1.0 / (1.0 + exp(min(-g, Value(80.0))));
  up[i] = dy[i] * g * sigmoid;
  gate[i] = dy[i] * u * sigmoid * (1.0 + g * (1.0 - sigmoid));
}
