// The same tile as matmul_f16.wgsl, multiplied by the adapter's matrix units: 64 × 64 of C a workgroup of four subgroups, of
// which each makes a quarter, 32 × 32, in M × N matrices, DEPTH of the summed dimension at a time. `depth`, `load` and
// `store` stand in the part put after this one. Sums leave through workgroup memory, because C has edges and a scale.
const SIDE = 64u;
const STRIDE = DEPTH + 8u; // padded against bank conflicts; a multiple of 16 bytes, as matrix loads want
const THREADS = 4u * SUBGROUP;
var<workgroup> a_tile: array<f16, SIDE * STRIDE>;  // (row, depth)
var<workgroup> b_tile: array<f16, SIDE * STRIDE>;  // (column, depth)
var<workgroup> c_tile: array<f32, 4u * M * N>;     // (subgroup, row, column)

@compute @workgroup_size(THREADS)
fn matmul_subgroup(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_id) subgroup: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let first_row = group.y * SIDE;
  let first_column = group.x * SIDE;
  let row = subgroup / 2u * 32u;
  let column = subgroup % 2u * 32u;
  var sums: array<subgroup_matrix_result<f32, N, M>, MATRIX_ROWS * MATRIX_COLUMNS>;
  for (var first = 0u; first < depth(); first += DEPTH) {
    load(first_row, first_column, first, thread);
    workgroupBarrier();
    // unroll
    for (var step = 0u; step < STEPS; step++) {
      var b: array<subgroup_matrix_right<f16, N, K>, MATRIX_COLUMNS>;
      // unroll
      for (var j = 0u; j < MATRIX_COLUMNS; j++) {
        let at = (column + j * N) * STRIDE + step * K;
        b[j] = subgroupMatrixLoad<subgroup_matrix_right<f16, N, K>, col_major>(&b_tile, at, STRIDE);
      }
      // unroll
      for (var i = 0u; i < MATRIX_ROWS; i++) {
        let at = (row + i * M) * STRIDE + step * K;
        let a = subgroupMatrixLoad<subgroup_matrix_left<f16, K, M>, row_major>(&a_tile, at, STRIDE);
        // unroll
        for (var j = 0u; j < MATRIX_COLUMNS; j++) {
          sums[i * MATRIX_COLUMNS + j] = subgroupMatrixMultiplyAccumulate(a, b[j], sums[i * MATRIX_COLUMNS + j]);
        }
      }
    }
    workgroupBarrier();
  }
  let own = subgroup * M * N;
  // unroll
  for (var i = 0u; i < MATRIX_ROWS; i++) {
    // unroll
    for (var j = 0u; j < MATRIX_COLUMNS; j++) {
      subgroupMatrixStore<row_major>(&c_tile, own, sums[i * MATRIX_COLUMNS + j], N);
      workgroupBarrier();
      for (var e = lane; e < M * N; e += SUBGROUP) {
        store(first_row + row + i * M + e / N, first_column + column + j * N + e % N, c_tile[own + e]);
      }
      workgroupBarrier();
    }
  }
}
