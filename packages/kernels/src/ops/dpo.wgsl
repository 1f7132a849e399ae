struct Params { pairs: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> policy: array<f32>; // (pairs, 2) log-probabilities: chosen, rejected
@group(0) @binding(2) var<storage, read> reference: array<f32>; // (pairs, 2)
@group(0) @binding(3) var<storage, read> step: array<f32>; // STEP values
@group(0) @binding(4) var<storage, read_write> outcome: array<f32>; // (pairs, 4): loss, margin, accuracy, chosen reward
@group(0) @binding(5) var<storage, read_write> weight: array<f32>; // (pairs)

const BETA = 8u;
const INVERSE_PAIRS = 9u;

// log(1 + x) for 0 ≤ x ≤ 1 as 2·artanh(x / (2 + x)); log() of a rounded 1 + x would lose a small x.
fn log1p(x: f32) -> f32 {
  let s = x / (2.0 + x);
  let t = s * s;
  let tail = 1.0 / 7.0 + t * (1.0 / 9.0 + t * (1.0 / 11.0 + t * (1.0 / 13.0 + t / 15.0)));
  return 2.0 * s * (1.0 + t * (1.0 / 3.0 + t * (1.0 / 5.0 + t * tail)));
}

@compute @workgroup_size(64)
fn dpo(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let pair = (group.y * groups.x + group.x) * 64u + local;
  if (pair >= params.pairs) { return; }
  let beta = step[BETA];
  let chosen = policy[2u * pair] - reference[2u * pair];
  let rejected = policy[2u * pair + 1u] - reference[2u * pair + 1u];
  let margin = beta * (chosen - rejected);
  let e = exp(-abs(margin)); // never overflows
  outcome[4u * pair] = max(-margin, 0.0) + log1p(e);
  outcome[4u * pair + 1u] = margin;
  outcome[4u * pair + 2u] = select(0.0, 1.0, margin > 0.0);
  outcome[4u * pair + 3u] = beta * chosen;
  weight[pair] = beta * step[INVERSE_PAIRS] * select(1.0, e, margin > 0.0) / (1.0 + e);
}
