struct Params { rows: u32, seq: u32, scale: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> probs: array<f32>; // (batch · heads, seq, seq)
@group(0) @binding(2) var<storage, read_write> dprobs: array<f32>; // (batch · heads, seq, seq): becomes dscores

// dscores = scale · p · (dp − Σ p · dp); masked keys have p = 0 and get 0, up to the end of the query's tile of 4.
@compute @workgroup_size(64)
fn attention_softmax_backward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let row = (group.y * groups.x + group.x) * (64u / LANES) + local / LANES;
  let lane = local % LANES;
  let base = row * params.seq;
  let tile_end = min((row % params.seq + 4u) / 4u * 4u, params.seq);
  let keys = select(0u, tile_end, row < params.rows);
  var sum = 0.0;
  for (var j = lane; j < keys; j += LANES) { sum += probs[base + j] * dprobs[base + j]; }
  sum = row_sum(sum, local);
  for (var j = lane; j < keys; j += LANES) {
    dprobs[base + j] = params.scale * probs[base + j] * (dprobs[base + j] - sum);
  }
}
