// A register tile of TILE_ROWS × TILE_COLUMNS sums a thread, straight from storage, for adapters whose workgroup memory is
// plain memory. Neighbouring lanes take neighbouring columns, and the row depends on the workgroup alone. The planes of a
// row are neighbours in the tile: its OUTPUT_ROWS = TILE_ROWS / PLANES.
@compute @workgroup_size(LANES)
fn matmul_dp4a_tile(@builtin(workgroup_id) group: vec3u, @builtin(LANE) lane: u32) {
  let first_row = group.y * OUTPUT_ROWS;
  let first_column = group.x * LANES * TILE_COLUMNS + lane;
  var row: array<u32, OUTPUT_ROWS>;
  var column: array<u32, TILE_COLUMNS>;
  // unroll
  for (var i = 0u; i < OUTPUT_ROWS; i++) { row[i] = min(first_row + i, params.rows - 1u); }
  // unroll
  for (var j = 0u; j < TILE_COLUMNS; j++) { column[j] = min(first_column + j * LANES, params.outputs - 1u); }
  var sums: array<i32, TILE_ROWS * TILE_COLUMNS>;
  // sums: over all inputs
  var total: array<f32, OUTPUT_ROWS * TILE_COLUMNS>;
  // unroll
  for (var i = 0u; i < OUTPUT_ROWS; i++) {
    let s = x_scale[row[i]];
    // unroll
    for (var j = 0u; j < TILE_COLUMNS; j++) {
      var value = 0.0;
      // unroll
      for (var p = 0u; p < PLANES; p++) { value = fma(value, 256.0, f32(sums[(i * PLANES + p) * TILE_COLUMNS + j])); }
      total[i * TILE_COLUMNS + j] = s * value;
    }
  }
  let count = outliers[0];
  for (var c = 0u; c < count; c++) {
    let k = outliers[1u + c];
    var b: array<f32, TILE_COLUMNS>;
    // unroll
    for (var j = 0u; j < TILE_COLUMNS; j++) { b[j] = weight(column[j], k); }
    // unroll
    for (var i = 0u; i < OUTPUT_ROWS; i++) {
      let a = outlier_x[row[i] * params.limit + c];
      // unroll
      for (var j = 0u; j < TILE_COLUMNS; j++) { total[i * TILE_COLUMNS + j] = fma(a, b[j], total[i * TILE_COLUMNS + j]); }
    }
  }
  // unroll
  for (var j = 0u; j < TILE_COLUMNS; j++) {
    if (first_column + j * LANES < params.outputs) {
      let s = w_scale[column[j]];
      // unroll
      for (var i = 0u; i < OUTPUT_ROWS; i++) {
        if (first_row + i < params.rows) { y[row[i] * params.outputs + column[j]] = total[i * TILE_COLUMNS + j] * s; }
      }
    }
  }
}
