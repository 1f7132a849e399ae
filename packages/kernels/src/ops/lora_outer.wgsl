// g[n, r] += scale · Σ_m drop(wide)[m, n] · narrow[m, r], where g is a slice of the flat gradient: dB (wide = dy,
// narrow = z) or dA transposed (wide = x, narrow = dz). The loop over rows is inside: WGSL has no f32 atomics. A thread
// sums COLUMNS columns × RANKS ranks over its share of the rows; `finish` in the next part brings them together.
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

@compute @workgroup_size(LANES * SPLIT)
fn lora_outer(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  var key = 0u;
  if (DROPOUT) { key = dropout_key(bitcast<u32>(step[SEED_AT]), params.salt); }
  var column: array<u32, COLUMNS>;
  // unroll
  for (var i = 0u; i < COLUMNS; i++) {
    column[i] = min((group.x * COLUMNS + i) * LANES + thread % LANES, params.columns - 1);
  }
  var r: array<u32, RANKS>;
  // unroll
  for (var j = 0u; j < RANKS; j++) { r[j] = min(group.y * RANKS + j, params.rank - 1); }
  var sums: array<f32, SUMS>;
  for (var m = thread / LANES; m < params.rows; m += SPLIT) {
    var values: array<f32, COLUMNS>;
    // unroll
    for (var i = 0u; i < COLUMNS; i++) {
      let element = m * params.columns + column[i];
      values[i] = wide[element];
      if (DROPOUT) { values[i] *= dropout_factor(key, element, params.threshold, params.inverse_keep); }
    }
    // unroll
    for (var j = 0u; j < RANKS; j++) {
      let b = narrow[m * params.rank + r[j]];
      // unroll
      for (var i = 0u; i < COLUMNS; i++) { sums[i * RANKS + j] = fma(values[i], b, sums[i * RANKS + j]); }
    }
  }
  finish(group, thread, sums);
}

fn emit(group: vec3u, lane: u32, i: u32, sum: f32) {
  let n = (group.x * COLUMNS + i / RANKS) * LANES + lane;
  let r = group.y * RANKS + i % RANKS;
  if (n < params.columns && r < params.rank) {
    grad[params.offset + n * params.column_stride + r * params.rank_stride] += params.scale * sum;
  }
}
