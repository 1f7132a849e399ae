// y[m, n] = weight_scale(n) · Σ_k x[m, k] · w[n, k] for few rows (decoding): bound by reading the weights, so every weight
// is read once, neighbouring threads read neighbouring quads, and their sums meet in workgroup memory. A workgroup takes
// TILE_COLUMNS columns with LANES threads each, and TILE_ROWS rows.
struct Params { rows: u32, input_quads: u32, outputs: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;       // (rows, inputs / 4)
@group(0) @binding(2) var<storage, read_write> y: array<f32>;   // (rows, outputs)
var<workgroup> partial: array<f32, TILE_ROWS * TILE_COLUMNS * LANES>;  // (row, column, lane)

@compute @workgroup_size(LANES * TILE_COLUMNS)
fn matmul_forward_skinny(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let first_row = group.y * TILE_ROWS;
  let first_column = group.x * TILE_COLUMNS;
  let column = min(first_column + thread / LANES, params.outputs - 1);
  var sums: array<f32, TILE_ROWS>;
  for (var quad = thread % LANES; quad < params.input_quads; quad += LANES) {
    let b = weights(column * params.input_quads + quad);
    // unroll
    for (var i = 0u; i < TILE_ROWS; i++) {
      sums[i] += dot(x[min(first_row + i, params.rows - 1) * params.input_quads + quad], b);
    }
  }
  // unroll
  for (var i = 0u; i < TILE_ROWS; i++) { partial[i * TILE_COLUMNS * LANES + thread] = sums[i]; }
  workgroupBarrier();
  if (thread >= TILE_ROWS * TILE_COLUMNS) { return; }
  let row = first_row + thread / TILE_COLUMNS;
  let out_column = first_column + thread % TILE_COLUMNS;
  if (row >= params.rows || out_column >= params.outputs) { return; }
  var sum = 0.0;
  for (var i = 0u; i < LANES; i++) { sum += partial[thread * LANES + i]; }
  y[row * params.outputs + out_column] = sum * weight_scale(out_column);
}
