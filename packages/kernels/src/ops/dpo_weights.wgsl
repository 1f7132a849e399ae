struct Params { rows: u32, sequences: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> rowSequence: array<u32>; // (rows), 0xffffffff = none
@group(0) @binding(2) var<storage, read> weight: array<f32>; // (sequences / 2)
@group(0) @binding(3) var<storage, read_write> rowWeight: array<f32>; // (rows)

@compute @workgroup_size(64)
fn dpo_weights(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let row = (group.y * groups.x + group.x) * 64u + local;
  if (row >= params.rows) { return; }
  let sequence = rowSequence[row];
  var value = 0.0;
  if (sequence < params.sequences) { value = select(weight[sequence / 2u], -weight[sequence / 2u], sequence % 2u == 1u); }
  rowWeight[row] = value;
}
