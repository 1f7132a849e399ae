  // By the instruction made for it. A sum's row is the same in all lanes.
  for (var quad = 0u; quad < params.input_quads; quad++) {
    var a: array<u32, TILE_ROWS>;
    // unroll
    for (var i = 0u; i < TILE_ROWS; i++) {
      a[i] = xq[(row[i / PLANES] * PLANES + i % PLANES) * params.input_quads + quad];
    }
    // unroll
    for (var j = 0u; j < TILE_COLUMNS; j++) {
      let b = wq[column[j] * params.input_quads + quad];
      // unroll
      for (var i = 0u; i < TILE_ROWS; i++) { sums[i * TILE_COLUMNS + j] += dot4I8Packed(a[i], b); }
    }
  }
