// C = A·B from f16 inputs with f32 sums, a 64 × 64 tile of C a workgroup and 4 × 4 elements of it a thread, DEPTH of the
// summed dimension at a time through workgroup memory. What A, B and C are stands in the part put after this one: `depth`,
// `load` and `store`. Products are formed in f32, where they are exact.
const SIDE = 64u;
const STRIDE = DEPTH + 8u; // padded against bank conflicts
const THREADS = 256u;
var<workgroup> a_tile: array<f16, SIDE * STRIDE>; // (row, depth)
var<workgroup> b_tile: array<f16, SIDE * STRIDE>; // (column, depth)

@compute @workgroup_size(THREADS)
fn matmul_f16(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let first_row = group.y * SIDE;
  let first_column = group.x * SIDE;
  let row = thread / 16u;
  let column = thread % 16u;
  var sums: array<f32, TILE * TILE>;
  for (var first = 0u; first < depth(); first += DEPTH) {
    load(first_row, first_column, first, thread);
    workgroupBarrier();
    for (var d = 0u; d < DEPTH; d++) {
      var b: array<f32, TILE>;
      // unroll
      for (var j = 0u; j < TILE; j++) { b[j] = f32(b_tile[(column + j * 16u) * STRIDE + d]); }
      // unroll
      for (var i = 0u; i < TILE; i++) {
        let a = f32(a_tile[(row + i * 16u) * STRIDE + d]);
        // unroll
        for (var j = 0u; j < TILE; j++) { sums[i * TILE + j] = fma(a, b[j], sums[i * TILE + j]); }
      }
    }
    workgroupBarrier();
  }
  // unroll
  for (var i = 0u; i < TILE; i++) {
    // unroll
    for (var j = 0u; j < TILE; j++) { store(first_row + row + i * 16u, first_column + column + j * 16u, sums[i * TILE + j]); }
  }
}
