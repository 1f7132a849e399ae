struct Params { rows: u32, values: u32, dim: u32, eps: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Value>; // (rows, values)
@group(0) @binding(2) var<storage, read> weight: array<Value>; // (values)
@group(0) @binding(3) var<storage, read_write> y: array<Value>; // (rows, values)

@compute @workgroup_size(64)
fn rmsnorm(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let row = (group.y * groups.x + group.x) * (64u / LANES) + local / LANES;
  let lane = local % LANES;
  let base = min(row, params.rows - 1u) * params.values;
  var squares = Value();
  for (var i = lane; i < params.values; i += LANES) {
    let value = x[base + i];
    squares += value * value;
  }
  let rstd = inverseSqrt(row_sum(total(squares), local) / f32(params.dim) + params.eps);
  if (row >= params.rows) { return; }
  for (var i = lane; i < params.values; i += LANES) {
    y[base + i] = x[base + i] * rstd * weight[i];
  }
}
