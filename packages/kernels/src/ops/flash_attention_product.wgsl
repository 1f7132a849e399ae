
// LEFT · RIGHTᵀ for the thread's 4 rows × 2 others.
fn product_LEFT_RIGHT(left: Part, right: Part, lane: u32) -> array<f32, ROWS * OTHERS> {
  let row = lane / 16;
  let column = lane % 16;
  var s = array<f32, ROWS * OTHERS>();
  for (var first = 0u; first < HEAD_DIM; first += 16) {
    let inside = first + column < HEAD_DIM;
    let d_read = min(first + column, HEAD_DIM - 1);
    for (var i = 0u; i < ROWS; i++) {
      let r = row + i * 16;
      let source = left.at + min(r, left.rows - 1) * left.stride + d_read;
      left_tile[column * ROW_STRIDE + r] = select(0.0, LEFT[source], inside && r < left.rows);
    }
    for (var j = 0u; j < OTHERS; j++) {
      let r = row + j * 16;
      let source = right.at + min(r, right.rows - 1) * right.stride + d_read;
      right_tile[column * OTHER_STRIDE + r] = select(0.0, RIGHT[source], inside && r < right.rows);
    }
    workgroupBarrier();
    for (var d = 0u; d < 16; d++) {
      var b = array<f32, OTHERS>();
      // unroll
      for (var j = 0u; j < OTHERS; j++) { b[j] = right_tile[d * OTHER_STRIDE + column + j * 16]; }
      // unroll
      for (var i = 0u; i < ROWS; i++) {
        let a = left_tile[d * ROW_STRIDE + row + i * 16];
        // unroll
        for (var j = 0u; j < OTHERS; j++) { s[i * OTHERS + j] = fma(a, b[j], s[i * OTHERS + j]); }
      }
    }
    workgroupBarrier();
  }
  return s;
}
