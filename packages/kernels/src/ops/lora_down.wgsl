// z[m, r] = scale · Σ_k drop(x)[m, k] · a[k, r], where a is a slice of the flat adapter: A transposed (forward, z) or B
// (backward, dz). A thread sums ROWS rows × RANKS ranks over its share of k; `finish` in the next part brings them together.
struct Params {
  rows: u32, inputs: u32, rank: u32,
  offset: u32, input_stride: u32, rank_stride: u32,
  scale: f32, salt: u32, threshold: u32, inverse_keep: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;         // (rows, inputs)
@group(0) @binding(2) var<storage, read> adapter: array<f32>;
@group(0) @binding(3) var<storage, read_write> z: array<f32>;   // (rows, rank)
@group(0) @binding(4) var<storage, read> step: array<f32>;
override DROPOUT: bool = false;
override SEED_AT: u32 = 0;

@compute @workgroup_size(LANES * SPLIT)
fn lora_down(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  var key = 0u;
  if (DROPOUT) { key = dropout_key(bitcast<u32>(step[SEED_AT]), params.salt); }
  var x_at: array<u32, ROWS>;
  // unroll
  for (var i = 0u; i < ROWS; i++) {
    x_at[i] = min((group.x * ROWS + i) * LANES + thread % LANES, params.rows - 1) * params.inputs;
  }
  var a_at: array<u32, RANKS>;
  // unroll
  for (var j = 0u; j < RANKS; j++) {
    a_at[j] = params.offset + min(group.y * RANKS + j, params.rank - 1) * params.rank_stride;
  }
  var sums: array<f32, SUMS>;
  for (var k = thread / LANES; k < params.inputs; k += SPLIT) {
    var values: array<f32, ROWS>;
    // unroll
    for (var i = 0u; i < ROWS; i++) {
      values[i] = x[x_at[i] + k];
      if (DROPOUT) { values[i] *= dropout_factor(key, x_at[i] + k, params.threshold, params.inverse_keep); }
    }
    // unroll
    for (var j = 0u; j < RANKS; j++) {
      let a = adapter[a_at[j] + k * params.input_stride];
      // unroll
      for (var i = 0u; i < ROWS; i++) { sums[i * RANKS + j] = fma(values[i], a, sums[i * RANKS + j]); }
    }
  }
  finish(group, thread, sums);
}

fn emit(group: vec3u, lane: u32, i: u32, sum: f32) {
  let row = (group.x * ROWS + i / RANKS) * LANES + lane;
  let r = group.y * RANKS + i % RANKS;
  if (row < params.rows && r < params.rank) { z[row * params.rank + r] = params.scale * sum; }
}
