struct Params { rows: u32, sequences: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> loss: array<f32>; // (rows), nats
@group(0) @binding(2) var<storage, read> rowSequence: array<u32>; // (rows), 0xffffffff = none
@group(0) @binding(3) var<storage, read_write> logProb: array<f32>; // (sequences)

@compute @workgroup_size(64)
fn sequence_log_prob(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let sequence = (group.y * groups.x + group.x) * (64u / LANES) + local / LANES;
  let rows = select(0u, params.rows, sequence < params.sequences); // the others only keep the barriers company
  var sum = 0.0;
  for (var row = local % LANES; row < rows; row += LANES) {
    if (rowSequence[row] == sequence) { sum -= loss[row]; }
  }
  sum = row_sum(sum, local);
  if (sequence < params.sequences && local % LANES == 0u) { logProb[sequence] = sum; }
}
