    // Row by row, the columns' weights kept: half as fast again as column by column on llvmpipe. A chunk a turn.
    var chunks: array<Chunk, TILE_COLUMNS>;
    // unroll
    for (var j = 0u; j < TILE_COLUMNS; j++) { chunks[j] = w[w_at[j] + first]; }
    // unroll
    for (var q = 0u; q < CHUNK_QUADS; q++) {
      var own: array<vec4f, ROW_GROUPS>;
      var b: array<vec4f, TILE_COLUMNS>;
      // unroll
      for (var h = 0u; h < ROW_GROUPS; h++) { own[h] = x[x_at[h] + first * CHUNK_QUADS + q]; }
      // unroll
      for (var j = 0u; j < TILE_COLUMNS; j++) { b[j] = quad_of(chunks[j], q); }
      // unroll
      for (var i = 0u; i < TILE_ROWS; i++) {
        let a = subgroupBroadcast(own[i / LANES], i % LANES);
        // unroll
        for (var j = 0u; j < TILE_COLUMNS; j++) {
          let sum = sums[i * TILE_COLUMNS + j];
          sums[i * TILE_COLUMNS + j] = fma(a.w, b[j].w, fma(a.z, b[j].z, fma(a.y, b[j].y, fma(a.x, b[j].x, sum))));
        }
      }
    }
