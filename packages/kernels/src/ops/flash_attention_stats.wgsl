struct Params { rows: u32, dim: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> lse: array<f32>;            // (rows)
@group(0) @binding(2) var<storage, read> out: array<f32>;            // (rows, dim)
@group(0) @binding(3) var<storage, read> dout: array<f32>;           // (rows, dim)
@group(0) @binding(4) var<storage, read_write> stats: array<vec2f>;  // (rows): lse, delta = Σ dout · out

// A row is one head of one token.
@compute @workgroup_size(64)
fn flash_attention_stats(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let row = (group.y * groups.x + group.x) * (64u / LANES) + local / LANES;
  let lane = local % LANES;
  let base = row * params.dim;
  let end = select(0u, params.dim, row < params.rows);
  var sum = 0.0;
  for (var d = lane; d < end; d += LANES) { sum = fma(dout[base + d], out[base + d], sum); }
  sum = row_sum(sum, local);
  if (end > 0u && lane == 0u) { stats[row] = vec2f(lse[row], sum); }
}
