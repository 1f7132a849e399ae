struct Params { max_seq: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> length: array<u32>; // (1)
@group(0) @binding(2) var<storage, read_write> scores: array<f32>; // (heads, max_seq): becomes probabilities

// One workgroup a head: decoding has too few rows for a thread a row on any adapter.
@compute @workgroup_size(64)
fn decode_softmax(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let base = group.x * params.max_seq;
  let keys = min(length[0], params.max_seq);
  var largest = -3.4e38;
  for (var j = local; j < keys; j += LANES) { largest = max(largest, scores[base + j]); }
  largest = row_largest(largest, 0u, local).value;
  var sum = 0.0;
  for (var j = local; j < keys; j += LANES) {
    let e = exp(scores[base + j] - largest);
    scores[base + j] = e;
    sum += e;
  }
  sum = row_sum(sum, local);
  for (var j = local; j < keys; j += LANES) { scores[base + j] /= sum; }
}
