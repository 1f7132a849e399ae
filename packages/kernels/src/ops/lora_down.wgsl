// z[m, r] = scale · Σ_k drop(x)[m, k] · a[k, r], where a is a slice of the flat adapter: A transposed (forward, z) or B
// (backward, dz). A thread takes one row and RANKS ranks.
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

@compute @workgroup_size(LANES)
fn lora_down(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.x * LANES + lane;
  let first_rank = group.y * RANKS;
  if (row >= params.rows) { return; }
  var key = 0u;
  if (DROPOUT) { key = dropout_key(bitcast<u32>(step[SEED_AT]), params.salt); }
  var a_at: array<u32, RANKS>;
  for (var j = 0u; j < RANKS; j++) {
    a_at[j] = params.offset + min(first_rank + j, params.rank - 1) * params.rank_stride;
  }
  var sums: array<f32, RANKS>;
  for (var k = 0u; k < params.inputs; k++) {
    let element = row * params.inputs + k;
    var value = x[element];
    if (DROPOUT) { value *= dropout_factor(key, element, params.threshold, params.inverse_keep); }
    for (var j = 0u; j < RANKS; j++) { sums[j] = fma(value, adapter[a_at[j] + k * params.input_stride], sums[j]); }
  }
  for (var j = 0u; j < RANKS; j++) {
    if (first_rank + j < params.rank) { z[row * params.rank + first_rank + j] = params.scale * sums[j]; }
  }
}
