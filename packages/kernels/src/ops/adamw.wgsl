struct Params { values: u32, beta1: f32, beta2: f32, rest1: f32, rest2: f32, eps: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> w: array<Value>; // (values)
@group(0) @binding(2) var<storage, read> g: array<Value>; // (values)
@group(0) @binding(3) var<storage, read_write> m: array<Value>; // (values)
@group(0) @binding(4) var<storage, read_write> v: array<Value>; // (values)
@group(0) @binding(5) var<storage, read> sum_squares: array<f32>; // (1)
@group(0) @binding(6) var<storage, read> step: array<f32>; // STEP values

const LEARNING_RATE = 0u;
const BIAS_CORRECTION_1 = 1u;
const BIAS_CORRECTION_2 = 2u;
const CLIP_NORM = 3u;
const WEIGHT_DECAY = 6u;

@compute @workgroup_size(64)
fn adamw(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let i = (group.y * groups.x + group.x) * 64u + local;
  if (i >= params.values) { return; }
  var gradient = g[i];
  if (step[CLIP_NORM] > 0.0) { gradient *= min(1.0, step[CLIP_NORM] / (sqrt(sum_squares[0]) + 1e-6)); }
  let first = params.beta1 * m[i] + params.rest1 * gradient;
  let second = params.beta2 * v[i] + params.rest2 * gradient * gradient;
  m[i] = first;
  v[i] = second;
  let rate = step[LEARNING_RATE];
  let update = (first / step[BIAS_CORRECTION_1]) / (sqrt(second / step[BIAS_CORRECTION_2]) + params.eps);
  w[i] = w[i] * (1.0 - rate * step[WEIGHT_DECAY]) - rate * update;
}
