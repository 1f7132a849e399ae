struct Params { rows: u32, seq: u32, heads: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> probs: array<f32>; // (batch · heads, seq, seq): scores in, probabilities out
@group(0) @binding(2) var<storage, read> segments: array<u32>; // (batch · seq)

// One row per query. Keys of other segments get 0, as do the keys after the query up to the end of its tile of 4, which
// the tiled products read; nothing beyond is ever read.
@compute @workgroup_size(64)
fn attention_softmax(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let row = (group.y * groups.x + group.x) * (64u / LANES) + local / LANES;
  let lane = local % LANES;
  let i = row % params.seq;
  let tokens = row / (params.seq * params.heads) * params.seq; // first token of this sequence
  let base = row * params.seq;
  let keys = select(0u, i + 1u, row < params.rows);
  let segment = segments[min(tokens + i, arrayLength(&segments) - 1u)];
  var largest = -3.4e38;
  for (var j = lane; j < keys; j += LANES) {
    if (segments[tokens + j] == segment) { largest = max(largest, probs[base + j]); }
  }
  largest = row_largest(largest, 0u, local).value;
  var sum = 0.0;
  for (var j = lane; j < keys; j += LANES) {
    if (segments[tokens + j] == segment) {
      let e = exp(probs[base + j] - largest);
      probs[base + j] = e;
      sum += e;
    } else {
      probs[base + j] = 0.0;
    }
  }
  sum = row_sum(sum, local);
  if (keys == 0u) { return; }
  for (var j = lane; j < keys; j += LANES) { probs[base + j] /= sum; }
  for (var j = keys + lane; j < min((keys + 3u) / 4u * 4u, params.seq); j += LANES) { probs[base + j] = 0.0; }
}
