  // For adapters that emulate dot4I8Packed, as f32, which is exact as long as a sum stays within 24 bits: 128 · 127 · 1024
  // does, so i32 takes over every BLOCK chunks (1024 inputs). The workgroup is one subgroup: a lane loads and unpacks the
  // chunk of a row of its own, one load for LANES rows, and broadcasts hand it to all; each sums its own columns.
  let input_chunks = params.input_quads / CHUNK_QUADS;
  var x_at: array<u32, ROW_GROUPS>;
  var w_at: array<u32, TILE_COLUMNS>;
  // unroll
  for (var h = 0u; h < ROW_GROUPS; h++) {
    x_at[h] = min(first_row * PLANES + h * LANES + lane, params.rows * PLANES - 1u) * input_chunks;
  }
  // unroll
  for (var j = 0u; j < TILE_COLUMNS; j++) { w_at[j] = column[j] * input_chunks; }
  var part: array<f32, TILE_SUMS>; // 2⁴⁸ times the sums of a block
  for (var start = 0u; start < input_chunks; start += BLOCK) {
    // unroll
    for (var k = 0u; k < TILE_SUMS; k++) { part[k] = 0.0; }
    let end = min(start + BLOCK, input_chunks);
    for (var at = start; at < end; at++) {
      var own: array<vec4f, CHUNK_QUADS * ROW_GROUPS>;
      var a: array<vec4f, CHUNK_QUADS * TILE_ROWS>;
      // unroll
      for (var h = 0u; h < ROW_GROUPS; h++) {
        let quads = quads_of(xq[x_at[h] + at]);
        // unroll
        for (var t = 0u; t < CHUNK_QUADS; t++) { own[t * ROW_GROUPS + h] = quads[t]; }
      }
      // unroll
      for (var t = 0u; t < CHUNK_QUADS; t++) {
        // unroll
        for (var i = 0u; i < TILE_ROWS; i++) {
          a[t * TILE_ROWS + i] = subgroupBroadcast(own[t * ROW_GROUPS + i / LANES], i % LANES);
        }
      }
      // unroll
      for (var j = 0u; j < TILE_COLUMNS; j++) {
        let b = quads_of(wq[w_at[j] + at]);
        // unroll
        for (var i = 0u; i < TILE_ROWS; i++) {
          var sum: array<f32, CHUNK_QUADS + 1>;
          sum[0u] = part[i * TILE_COLUMNS + j];
          // unroll
          for (var t = 0u; t < CHUNK_QUADS; t++) {
            sum[t + 1] = fma(a[t * TILE_ROWS + i].w, b[t].w, fma(a[t * TILE_ROWS + i].z, b[t].z,
              fma(a[t * TILE_ROWS + i].y, b[t].y, fma(a[t * TILE_ROWS + i].x, b[t].x, sum[t]))));
          }
          part[i * TILE_COLUMNS + j] = sum[CHUNK_QUADS];
        }
      }
    }
    // unroll
    for (var k = 0u; k < TILE_SUMS; k++) { sums[k] += i32(part[k] * 0x1p-48f); }
  }
