struct Params { rows: u32, dim: u32, eps: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // (rows, dim)
@group(0) @binding(2) var<storage, read> weight: array<f32>; // (dim)
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // (rows, dim)

@compute @workgroup_size(64)
fn rmsnorm(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let row = (group.y * groups.x + group.x) * (64u / LANES) + local / LANES;
  let lane = local % LANES;
  let base = min(row, params.rows - 1u) * params.dim;
  var squares = 0.0;
  for (var i = lane; i < params.dim; i += LANES) {
    let value = x[base + i];
    squares += value * value;
  }
  let rstd = inverseSqrt(row_sum(squares, local) / f32(params.dim) + params.eps);
  if (row >= params.rows) { return; }
  for (var i = lane; i < params.dim; i += LANES) {
    y[base + i] = x[base + i] * rstd * weight[i];
  }
}
