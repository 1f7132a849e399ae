// Dot products of four int8 pairs in a tile of ROWS × COLUMNS sums, from registers to registers. x changes every turn, so
// that no product can be taken out of the loop; one addition a row stands against COLUMNS dot products.
struct Params { turns: u32, x: u32, y: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> results: array<i32>;

@compute @workgroup_size(64)
fn peak_dot4(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  var x: array<u32, ROWS>;
  var y: array<u32, COLUMNS>;
  var sums: array<i32, ROWS * COLUMNS>;
  // unroll
  for (var i = 0u; i < ROWS; i++) { x[i] = params.x + i * 0x01030507u + lane % 2u; }
  // unroll
  for (var j = 0u; j < COLUMNS; j++) { y[j] = params.y + j * 0x02040608u; }
  for (var turn = 0u; turn < params.turns; turn++) {
    // unroll
    for (var i = 0u; i < ROWS; i++) {
      x[i] += 0x01010101u;
      // unroll
      for (var j = 0u; j < COLUMNS; j++) { sums[i * COLUMNS + j] += dot4I8Packed(x[i], y[j]); }
    }
  }
  var total = 0i;
  // unroll
  for (var i = 0u; i < ROWS; i++) {
    // unroll
    for (var j = 0u; j < COLUMNS; j++) { total += sums[i * COLUMNS + j] * i32(i * COLUMNS + j + 1u); }
  }
  results[(group.x * 64u + lane) % RESULTS] = total;
}
