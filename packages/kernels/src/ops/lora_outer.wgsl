// g[n, r] += scale · Σ_m drop(wide)[m, n] · narrow[m, r], where g is a slice of the flat gradient: dB (wide = dy,
// narrow = z) or dA transposed (wide = x, narrow = dz). The loop over rows is inside: WGSL has no f32 atomics. A thread
// takes one column and RANKS ranks.
struct Params {
  rows: u32, columns: u32, rank: u32,
  offset: u32, column_stride: u32, rank_stride: u32,
  scale: f32, salt: u32, threshold: u32, inverse_keep: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> wide: array<f32>;        // (rows, columns)
@group(0) @binding(2) var<storage, read> narrow: array<f32>;      // (rows, rank)
@group(0) @binding(3) var<storage, read_write> grad: array<f32>;
@group(0) @binding(4) var<storage, read> step: array<f32>;
override DROPOUT: bool = false;
override SEED_AT: u32 = 0;

@compute @workgroup_size(LANES)
fn lora_outer(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let column = group.x * LANES + lane;
  let first_rank = group.y * RANKS;
  if (column >= params.columns) { return; }
  var key = 0u;
  if (DROPOUT) { key = dropout_key(bitcast<u32>(step[SEED_AT]), params.salt); }
  var rank_at: array<u32, RANKS>;
  for (var j = 0u; j < RANKS; j++) { rank_at[j] = min(first_rank + j, params.rank - 1); }
  var sums: array<f32, RANKS>;
  for (var m = 0u; m < params.rows; m++) {
    let element = m * params.columns + column;
    var value = wide[element];
    if (DROPOUT) { value *= dropout_factor(key, element, params.threshold, params.inverse_keep); }
    for (var j = 0u; j < RANKS; j++) { sums[j] = fma(value, narrow[m * params.rank + rank_at[j]], sums[j]); }
  }
  for (var j = 0u; j < RANKS; j++) {
    if (first_rank + j < params.rank) {
      grad[params.offset + column * params.column_stride + (first_rank + j) * params.rank_stride] += params.scale * sums[j];
    }
  }
}
