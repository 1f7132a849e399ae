// A = x, B = transposed weights, C = y. Column j of a thread is place + 16 · j.
struct Params { rows: u32, input_quads: u32, outputs: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;       // (rows, inputs / 4)
@group(0) @binding(2) var<storage, read_write> y: array<f32>;   // (rows, outputs)

fn depth() -> u32 { return params.input_quads * 4; }

/** Two quads of x and eight weights a thread, transposed; int8 becomes f32 here, once a tile. */
fn load(first_row: u32, first_column: u32, first: u32, lane: u32) {
  let depth_quad = lane % 4;
  let quad = first / 4 + depth_quad;
  // unroll
  for (var i = 0u; i < LOADS; i++) {
    let row = lane / 4 + i * 64;
    var a = vec4f();
    if (first_row + row < params.rows && quad < params.input_quads) { a = x[(first_row + row) * params.input_quads + quad]; }
    // unroll
    for (var c = 0u; c < QUAD; c++) { a_tile[tile_at(depth_quad * 4 + c, row)] = a[c]; }
  }
  // unroll
  for (var i = 0u; i < CHUNK_LOADS; i++) {
    let item = lane + i * 256; // of 128 columns × (4 / CHUNK_QUADS) chunks
    let column = item / (4 / CHUNK_QUADS);
    let depth_chunk = item % (4 / CHUNK_QUADS);
    let chunk_at = first / 4 / CHUNK_QUADS + depth_chunk;
    if (column < 128) {
      var chunk = Chunk();
      if (first_column + column < params.outputs && chunk_at < params.input_quads / CHUNK_QUADS) {
        chunk = w[(first_column + column) * (params.input_quads / CHUNK_QUADS) + chunk_at];
      }
      // unroll
      for (var q = 0u; q < CHUNK_QUADS; q++) {
        let b = quad_of(chunk, q);
        // unroll
        for (var c = 0u; c < QUAD; c++) { b_tile[tile_at((depth_chunk * CHUNK_QUADS + q) * 4 + c, column)] = b[c]; }
      }
    }
  }
}

fn finish(row: u32, first_column: u32, place: u32, sums: array<f32, TILE>) {
  if (row >= params.rows) { return; }
  // unroll
  for (var j = 0u; j < TILE; j++) {
    let column = first_column + place + j * 16;
    if (column < params.outputs) { y[row * params.outputs + column] = sums[j] * weight_scale(column); }
  }
}
