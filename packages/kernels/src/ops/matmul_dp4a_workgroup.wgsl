// A tile of 16·TILE × 16·TILE sums a workgroup and TILE × TILE of them a thread, DEPTH words (4·DEPTH inputs) at a time
// through workgroup memory. Rows and columns of a thread lie 16 apart, so that neighbouring threads touch neighbouring
// banks and addresses. DEPTH words of a row are read by DEPTH neighbouring threads. A tile
// holds one plane of its OUTPUT_SIDE rows of y after the other, so that a thread has all planes of its rows.
const SIDE = 16u * TILE;
const OUTPUT_SIDE = 16u * OUTPUT_ROWS;
const STRIDE = SIDE + 4u; // padded against bank conflicts of the transposing stores
var<workgroup> a_tile: array<u32, DEPTH * STRIDE>; // (word, row)
var<workgroup> b_tile: array<u32, DEPTH * STRIDE>; // (word, column)

@compute @workgroup_size(256)
fn matmul_dp4a_workgroup(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let first_row = group.y * OUTPUT_SIDE;
  let first_column = group.x * SIDE;
  var sums: array<i32, TILE * TILE>;
  for (var first = 0u; first < params.input_quads; first += DEPTH) {
    let word = thread % DEPTH;
    for (var at = thread / DEPTH; at < SIDE; at += 256u / DEPTH) {
      var a = 0u;
      var b = 0u;
      if (first + word < params.input_quads) {
        let row = first_row + at % OUTPUT_SIDE;
        if (row < params.rows) { a = xq[(row * PLANES + at / OUTPUT_SIDE) * params.input_quads + first + word]; }
        if (first_column + at < params.outputs) { b = wq[(first_column + at) * params.input_quads + first + word]; }
      }
      a_tile[word * STRIDE + at] = a;
      b_tile[word * STRIDE + at] = b;
    }
    workgroupBarrier();
    for (var d = 0u; d < DEPTH; d++) {
      var b: array<u32, TILE>;
      // unroll
      for (var j = 0u; j < TILE; j++) { b[j] = b_tile[d * STRIDE + thread % 16u + j * 16u]; }
      // unroll
      for (var i = 0u; i < TILE; i++) {
        let a = a_tile[d * STRIDE + thread / 16u + i * 16u];
        // unroll
        for (var j = 0u; j < TILE; j++) { sums[i * TILE + j] += dot4I8Packed(a, b[j]); }
      }
    }
    workgroupBarrier();
  }
  var row: array<u32, OUTPUT_ROWS>;
  var column: array<u32, TILE>;
  // unroll
  for (var i = 0u; i < OUTPUT_ROWS; i++) { row[i] = min(first_row + thread / 16u + i * 16u, params.rows - 1u); }
  // unroll
  for (var j = 0u; j < TILE; j++) { column[j] = min(first_column + thread % 16u + j * 16u, params.outputs - 1u); }
  var total: array<f32, OUTPUT_ROWS * TILE>;
  // unroll
  for (var i = 0u; i < OUTPUT_ROWS; i++) {
    let s = x_scale[row[i]];
    // unroll
    for (var j = 0u; j < TILE; j++) {
      var value = 0.0;
      // unroll
      for (var p = 0u; p < PLANES; p++) { value = fma(value, 256.0, f32(sums[(p * OUTPUT_ROWS + i) * TILE + j])); }
      total[i * TILE + j] = s * value;
    }
  }
  let count = outliers[0];
  for (var c = 0u; c < count; c++) {
    let k = outliers[1u + c];
    var b: array<f32, TILE>;
    // unroll
    for (var j = 0u; j < TILE; j++) { b[j] = weight(column[j], k); }
    // unroll
    for (var i = 0u; i < OUTPUT_ROWS; i++) {
      let a = outlier_x[row[i] * params.limit + c];
      // unroll
      for (var j = 0u; j < TILE; j++) { total[i * TILE + j] = fma(a, b[j], total[i * TILE + j]); }
    }
  }
  // unroll
  for (var j = 0u; j < TILE; j++) {
    if (first_column + thread % 16u + j * 16u < params.outputs) {
      let s = w_scale[column[j]];
      // unroll
      for (var i = 0u; i < OUTPUT_ROWS; i++) {
        if (first_row + thread / 16u + i * 16u < params.rows) {
          y[row[i] * params.outputs + column[j]] = total[i * TILE + j] * s;
        }
      }
    }
  }
}
