// A = dy with the weight scales folded in, B = weights, C = dx. Column 4 · quad + c of the tile has the place quad + 32 · c,
// so that neighbouring threads store side by side, and a thread holds two whole quads: places place + 16 · j.
struct Params { rows: u32, input_quads: u32, outputs: u32, accumulate: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;           // (rows, outputs)
@group(0) @binding(2) var<storage, read_write> dx: array<vec4f>;   // (rows, inputs / 4)

fn depth() -> u32 { return params.outputs; }

/** Eight elements of dy and eight weights a thread; int8 becomes f32 here, once a tile. */
fn load(first_row: u32, first_column: u32, first: u32, lane: u32) {
  let n = first + lane % 16;
  var s = 0.0;
  if (n < params.outputs) { s = weight_scale(n); }
  // unroll
  for (var i = 0u; i < TILE; i++) {
    let row = lane / 16 + i * 16;
    var a = 0.0;
    if (first_row + row < params.rows && n < params.outputs) { a = s * dy[(first_row + row) * params.outputs + n]; }
    a_tile[tile_at(lane % 16, row)] = a;
  }
  let input_chunks = params.input_quads / CHUNK_QUADS;
  // unroll
  for (var i = 0u; i < CHUNK_LOADS; i++) {
    let item = lane + i * 256; // of 16 outputs × (32 / CHUNK_QUADS) chunks
    let d = item / (32 / CHUNK_QUADS);
    let tile_chunk = item % (32 / CHUNK_QUADS);
    let chunk_at = first_column / 4 / CHUNK_QUADS + tile_chunk;
    if (d < 16) {
      var chunk = Chunk();
      if (first + d < params.outputs && chunk_at < input_chunks) { chunk = w[(first + d) * input_chunks + chunk_at]; }
      // unroll
      for (var q = 0u; q < CHUNK_QUADS; q++) {
        let b = quad_of(chunk, q);
        // unroll
        for (var c = 0u; c < QUAD; c++) { b_tile[tile_at(d, tile_chunk * CHUNK_QUADS + q + c * 32)] = b[c]; }
      }
    }
  }
}

fn finish(row: u32, first_column: u32, place: u32, sums: array<f32, TILE>) {
  if (row >= params.rows) { return; }
  // unroll
  for (var h = 0u; h < LOADS; h++) {
    let quad = first_column / 4 + place + h * 16;
    if (quad < params.input_quads) {
      let at = row * params.input_quads + quad;
      let sum = vec4f(sums[h], sums[2 + h], sums[4 + h], sums[6 + h]);
      if (params.accumulate != 0) { dx[at] += sum; } else { dx[at] = sum; }
    }
  }
}
