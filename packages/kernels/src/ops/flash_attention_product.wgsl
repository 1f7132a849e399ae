
// LEFT · RIGHTᵀ for the thread's 4 rows × 2 others.
fn product_LEFT_RIGHT(left: Part, right: Part, lane: u32) -> array<f32, ROWS * OTHERS> {
  let row = lane / 16;
  let column = lane % 16;
  var s = array<f32, ROWS * OTHERS>();
  for (var first = 0u; first < HEAD_DIM; first += 16) {
    let inside = first + column < HEAD_DIM;
    // unroll
    for (var i = 0u; i < ROWS; i++) {
      let r = row + i * 16;
      var value = 0.0;
      if (inside && r < left.rows) { value = LEFT[left.at + r * left.stride + first + column]; }
      left_tile[column * ROW_STRIDE + r] = value;
    }
    // unroll
    for (var j = 0u; j < OTHERS; j++) {
      let r = row + j * 16;
      var value = 0.0;
      if (inside && r < right.rows) { value = RIGHT[right.at + r * right.stride + first + column]; }
      right_tile[column * OTHER_STRIDE + r] = value;
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
