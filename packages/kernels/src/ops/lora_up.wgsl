// y[m, n] += drop'(scale · Σ_r z[m, r] · b[n, r]), where b is a slice of the flat adapter: B (forward, y) or A transposed
// (backward, dx; there the mask of the forward input applies). A thread takes ROWS rows × COLUMNS columns.
struct Params {
  rows: u32, outputs: u32, rank: u32,
  offset: u32, output_stride: u32, rank_stride: u32,
  scale: f32, salt: u32, threshold: u32, inverse_keep: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> z: array<f32>;         // (rows, rank)
@group(0) @binding(2) var<storage, read> adapter: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;   // (rows, outputs)
@group(0) @binding(4) var<storage, read> step: array<f32>;
override DROPOUT: bool = false;
override SEED_AT: u32 = 0;

@compute @workgroup_size(LANES)
fn lora_up(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first_row = group.y * ROWS;
  let first_column = group.x * LANES * COLUMNS + lane;
  var key = 0u;
  if (DROPOUT) { key = dropout_key(bitcast<u32>(step[SEED_AT]), params.salt); }
  var z_at: array<u32, ROWS>;
  // unroll
  for (var i = 0u; i < ROWS; i++) { z_at[i] = min(first_row + i, params.rows - 1) * params.rank; }
  var b_at: array<u32, COLUMNS>;
  // unroll
  for (var j = 0u; j < COLUMNS; j++) {
    b_at[j] = params.offset + min(first_column + j * LANES, params.outputs - 1) * params.output_stride;
  }
  var sums: array<f32, SUMS>;
  for (var r = 0u; r < params.rank; r++) {
    var a: array<f32, ROWS>;
    // unroll
    for (var i = 0u; i < ROWS; i++) { a[i] = z[z_at[i] + r]; }
    // unroll
    for (var j = 0u; j < COLUMNS; j++) {
      let b = adapter[b_at[j] + r * params.rank_stride];
      // unroll
      for (var i = 0u; i < ROWS; i++) { sums[i * COLUMNS + j] = fma(a[i], b, sums[i * COLUMNS + j]); }
    }
  }
  // unroll
  for (var at = 0u; at < SUMS; at++) {
    let row = first_row + at / COLUMNS;
    let column = first_column + (at % COLUMNS) * LANES;
    if (row < params.rows && column < params.outputs) {
      let element = row * params.outputs + column;
      var value = params.scale * sums[at];
      if (DROPOUT) { value *= dropout_factor(key, element, params.threshold, params.inverse_keep); }
      y[element] += value;
    }
  }
}
