        // Row by row, the columns' weights kept: half as fast again as column by column on llvmpipe.
        var b: array<vec4f, TILE_COLUMNS>;
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
