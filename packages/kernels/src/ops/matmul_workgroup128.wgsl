// C = A·B, a 128 × 128 tile of C a workgroup and 8 × 8 elements of it a thread, 16 of the summed dimension at a time
// through workgroup memory, all of the 16 KiB that every WebGPU device has. What A, B and C are stands in the part put
// after this one: `depth`, `load` and `finish`. Element (d, i) of a tile lies at d · 128 + (i xor 2d), so that both the
// transposing stores and the reads of neighbouring threads touch different banks without padding.
var<workgroup> a_tile: array<f32, 16 * 128>;  // (depth, row)
var<workgroup> b_tile: array<f32, 16 * 128>;  // (depth, place of a column)

fn tile_at(d: u32, i: u32) -> u32 { return d * 128 + (i ^ (2 * d)); }

@compute @workgroup_size(256)
fn matmul_workgroup128(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first_row = group.y * 128;
  let first_column = group.x * 128;
  let row = lane / 16;
  let place = lane % 16;
  var sums: array<f32, TILE * TILE>;
  for (var first = 0u; first < depth(); first += 16) {
    load(first_row, first_column, first, lane);
    workgroupBarrier();
    // unroll
    for (var half = 0u; half < HALVES; half++) {
      for (var e = 0u; e < 8; e++) {
        // tile_at(8 · half + e, row + 16 · i), with the part that is the same for all i taken out.
        let at = (half * 8 + e) * 128;
        let a_at = at + (row ^ (2 * e));
        let b_at = at + (place ^ (2 * e));
        var b: array<f32, TILE>;
        // unroll
        for (var j = 0u; j < TILE; j++) { b[j] = b_tile[b_at + ((j * 16) ^ (half * 16))]; }
        // unroll
        for (var i = 0u; i < TILE; i++) {
          let a = a_tile[a_at + ((i * 16) ^ (half * 16))];
          // unroll
          for (var j = 0u; j < TILE; j++) { sums[i * TILE + j] = fma(a, b[j], sums[i * TILE + j]); }
        }
      }
    }
    workgroupBarrier();
  }
  // unroll
  for (var i = 0u; i < TILE; i++) {
    var row_sums: array<f32, TILE>;
    // unroll
    for (var j = 0u; j < TILE; j++) { row_sums[j] = sums[i * TILE + j]; }
    finish(first_row + row + i * 16, first_column, place, row_sums);
  }
}
