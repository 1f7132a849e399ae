struct Params { values: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> grad: array<Value>; // (values)
@group(0) @binding(2) var<storage, read> w: array<Value>; // (values)
@group(0) @binding(3) var<storage, read> w0: array<Value>; // (values)
@group(0) @binding(4) var<storage, read> drift: array<Value>; // (values)
@group(0) @binding(5) var<storage, read> step: array<f32>; // STEP values

override PROXIMAL: bool = true;
override DRIFT: bool = true;

const MU = 7u;

@compute @workgroup_size(64)
fn affine_correction(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let i = (group.y * groups.x + group.x) * 64u + local;
  if (i >= params.values) { return; }
  var correction = Value();
  if (PROXIMAL) { correction += step[MU] * (w[i] - w0[i]); }
  if (DRIFT) { correction += drift[i]; }
  grad[i] += correction;
}
