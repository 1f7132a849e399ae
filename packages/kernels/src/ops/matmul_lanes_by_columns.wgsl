        // Column by column, the rows' quads kept: a quarter faster than row by row on SwiftShader.
        var a: array<vec4f, TILE_ROWS>;
        // unroll
        for (var i = 0u; i < TILE_ROWS; i++) { a[i] = subgroupBroadcast(own[i / LANES], i % LANES); }
        // unroll
        for (var j = 0u; j < TILE_COLUMNS; j++) {
          let b = quad_of(chunks[j], q);
          // unroll
          for (var i = 0u; i < TILE_ROWS; i++) {
            let sum = sums[i * TILE_COLUMNS + j];
            sums[i * TILE_COLUMNS + j] = fma(a[i].w, b.w, fma(a[i].z, b.z, fma(a[i].y, b.y, fma(a[i].x, b.x, sum))));
          }
        }
