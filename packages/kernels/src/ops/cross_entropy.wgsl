struct Params { rows: u32, vocab: u32 }
override BACKWARD: bool = false;
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> logits: array<f32>; // (rows, vocab), becomes dlogits
@group(0) @binding(2) var<storage, read> labels: array<u32>; // (rows), 0xffffffff = none
@group(0) @binding(3) var<storage, read_write> loss: array<f32>; // (rows), nats
@group(0) @binding(4) var<storage, read_write> correct: array<u32>; // (rows)
// Binding 5 and row_weight(row), the factor of a row's gradient, are in cross_entropy_mean.wgsl or cross_entropy_rows.wgsl.

@compute @workgroup_size(64)
fn cross_entropy(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let row = (group.y * groups.x + group.x) * (64u / LANES) + local / LANES;
  let lane = local % LANES;
  let real = row < params.rows;
  let base = min(row, params.rows - 1u) * params.vocab;
  let label = labels[min(row, params.rows - 1u)];
  let labelled = label < params.vocab;
  let columns = select(0u, params.vocab, real); // threads past the last row only keep the barriers company

  var best = -3.4e38;
  var best_index = 0u;
  for (var i = lane; i < columns; i += LANES) {
    let value = logits[base + i];
    if (value > best) {
      best = value;
      best_index = i;
    }
  }
  let largest = row_largest(best, best_index, local);

  // Every lane touches only its own columns, so the label's logit is read by the lane that will overwrite it.
  let owner = lane == select(0u, label % LANES, labelled);
  var label_logit = 0.0;
  if (owner && labelled && real) { label_logit = logits[base + label]; }
  var sum = 0.0;
  for (var i = lane; i < columns; i += LANES) {
    let e = exp(logits[base + i] - largest.value);
    sum += e;
    if (BACKWARD) { logits[base + i] = e; }
  }
  sum = row_sum(sum, local);
  if (!real) { return; }
  if (owner) {
    loss[row] = select(0.0, log(sum) + (largest.value - label_logit), labelled); // the difference first: large logits cancel
    correct[row] = select(0u, 1u, labelled && largest.index == label);
  }
  if (!BACKWARD) { return; }
  let weight = select(0.0, row_weight(row), labelled);
  let scale = weight / sum;
  for (var i = lane; i < columns; i += LANES) {
    logits[base + i] = logits[base + i] * scale - select(0.0, weight, i == label);
  }
}
