struct Params { rows: u32, values: u32, dim: u32, eps: f32, accumulate: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Value>; // (rows, values)
@group(0) @binding(2) var<storage, read> weight: array<Value>; // (values)
@group(0) @binding(3) var<storage, read> dy: array<Value>; // (rows, values)
@group(0) @binding(4) var<storage, read_write> dx: array<Value>; // (rows, values)

@compute @workgroup_size(64)
fn rmsnorm_backward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let row = (group.y * groups.x + group.x) * (64u / LANES) + local / LANES;
  let lane = local % LANES;
  let base = min(row, params.rows - 1u) * params.values;
  var squares = Value();
  var products = Value(); // Σ x · w · dy
  for (var i = lane; i < params.values; i += LANES) {
    let value = x[base + i];
    squares += value * value;
    products += value * weight[i] * dy[base + i];
  }
  let rstd = inverseSqrt(row_sum(total(squares), local) / f32(params.dim) + params.eps);
  let shared_term = row_sum(total(products), local) * rstd * rstd * rstd / f32(params.dim);
  if (row >= params.rows) { return; }
  for (var i = lane; i < params.values; i += LANES) {
    let gradient = weight[i] * dy[base + i] * rstd - x[base + i] * shared_term;
    if (params.accumulate == 1u) {
      dx[base + i] += gradient;
    } else {
      dx[base + i] = gradient;
    }
  }
}
