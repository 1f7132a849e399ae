
// sums += scores · VALUES for the thread's 4 rows × DIMS elements of the head, 8 others at a time.
fn add_VALUES(sums: ptr<function, array<f32, ROWS * DIMS>>, values: Part, lane: u32) {
  let row = lane / 16;
  let column = lane % 16;
  for (var first = 0u; first < 32; first += 8) {
    for (var e = lane; e < 8 * WIDTH; e += 256) {
      let r = first + e / WIDTH;
      let d = e % WIDTH;
      let source = values.at + min(r, values.rows - 1) * values.stride + min(d, HEAD_DIM - 1);
      left_tile[e] = select(0.0, VALUES[source], d < HEAD_DIM && r < values.rows);
    }
    workgroupBarrier();
    for (var c = 0u; c < 8; c++) {
      var value = array<f32, DIMS>();
      // unroll
      for (var d = 0u; d < DIMS; d++) { value[d] = left_tile[c * WIDTH + column + d * 16]; }
      // unroll
      for (var i = 0u; i < ROWS; i++) {
        let weight = scores[(row + i * 16) * SCORE_STRIDE + first + c];
        // unroll
        for (var d = 0u; d < DIMS; d++) { (*sums)[i * DIMS + d] = fma(weight, value[d], (*sums)[i * DIMS + d]); }
      }
    }
    workgroupBarrier();
  }
}
