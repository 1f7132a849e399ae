// C = A·B, a 64 × 64 tile of C a workgroup and 4 × 4 elements of it a thread, 16 of the summed dimension at a time through
// workgroup memory. What A, B and C are stands in the part put after this one: `depth`, `load` and `store`.
// Rows and columns of a thread lie 16 apart, so that neighbouring threads touch neighbouring banks and addresses.
const STRIDE = 68u; // 64, padded against bank conflicts of the transposing stores
var<workgroup> a_tile: array<f32, 16 * STRIDE>;  // (depth, row)
var<workgroup> b_tile: array<f32, 16 * STRIDE>;  // (depth, column)

@compute @workgroup_size(256)
fn matmul_workgroup(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first_row = group.y * 64;
  let first_column = group.x * 64;
  let row = lane / 16;
  let column = lane % 16;
  var sums: array<f32, TILE * TILE>;
  for (var first = 0u; first < depth(); first += 16) {
    load(first_row, first_column, first, lane);
    workgroupBarrier();
    for (var d = 0u; d < 16; d++) {
      var b: array<f32, TILE>;
      // unroll
      for (var j = 0u; j < TILE; j++) { b[j] = b_tile[d * STRIDE + column + j * 16]; }
      // unroll
      for (var i = 0u; i < TILE; i++) {
        let a = a_tile[d * STRIDE + row + i * 16];
        // unroll
        for (var j = 0u; j < TILE; j++) { sums[i * TILE + j] = fma(a, b[j], sums[i * TILE + j]); }
      }
    }
    workgroupBarrier();
  }
  // unroll
  for (var i = 0u; i < TILE; i++) {
    // unroll
    for (var j = 0u; j < TILE; j++) { store(first_row + row + i * 16, first_column + column + j * 16, sums[i * TILE + j]); }
  }
}
