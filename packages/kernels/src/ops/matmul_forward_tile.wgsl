// y[m, n] = weight_scale(n) · Σ_k x[m, k] · w[n, k], a register tile of TILE_ROWS × TILE_COLUMNS a thread, straight from
// storage. Neighbouring lanes take neighbouring columns and the row depends on the workgroup alone, so that loads of x
// are the same for a whole workgroup.
struct Params { rows: u32, input_quads: u32, outputs: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;       // (rows, inputs / 4)
@group(0) @binding(2) var<storage, read_write> y: array<f32>;   // (rows, outputs)

@compute @workgroup_size(LANES)
fn matmul_forward_tile(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first_row = group.y * TILE_ROWS;
  let first_column = group.x * LANES * TILE_COLUMNS + lane;
  var x_at: array<u32, TILE_ROWS>;
  var w_at: array<u32, TILE_COLUMNS>;
  // unroll
  for (var i = 0u; i < TILE_ROWS; i++) { x_at[i] = min(first_row + i, params.rows - 1) * params.input_quads; }
  // unroll
  for (var j = 0u; j < TILE_COLUMNS; j++) {
    w_at[j] = min(first_column + j * LANES, params.outputs - 1) * params.input_quads;
  }
  var sums: array<f32, TILE_ROWS * TILE_COLUMNS>;
  for (var quad = 0u; quad < params.input_quads; quad++) {
    var a: array<vec4f, TILE_ROWS>;
    // unroll
    for (var i = 0u; i < TILE_ROWS; i++) { a[i] = x[x_at[i] + quad]; }
    // unroll
    for (var j = 0u; j < TILE_COLUMNS; j++) {
      let b = weights(w_at[j] + quad);
      // unroll
      for (var i = 0u; i < TILE_ROWS; i++) {
        let sum = sums[i * TILE_COLUMNS + j];
        sums[i * TILE_COLUMNS + j] = fma(a[i].w, b.w, fma(a[i].z, b.z, fma(a[i].y, b.y, fma(a[i].x, b.x, sum))));
      }
    }
  }
  // unroll
  for (var j = 0u; j < TILE_COLUMNS; j++) {
    let column = first_column + j * LANES;
    if (column < params.outputs) {
      let s = weight_scale(column);
      // unroll
      for (var i = 0u; i < TILE_ROWS; i++) {
        if (first_row + i < params.rows) {
          y[(first_row + i) * params.outputs + column] = sums[i * TILE_COLUMNS + j] * s;
        }
      }
    }
  }
}
