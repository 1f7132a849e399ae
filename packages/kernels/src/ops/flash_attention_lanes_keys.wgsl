enable subgroups;
// dv[j] = Σ p · dout[i] and dk[j] = Σ ds[i, j] · q[i] over the queries i ≥ j of the segment and the heads of the group. A lane
// owns ROWS keys; of each block of OTHERS queries and their gradients it loads its own, and broadcasts hand them to all.
struct Params { batch: u32, seq: u32, heads: u32, kv_heads: u32, first: u32, pieces: u32, scale: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<Piece>;          // (batch · seq, heads · pieces)
@group(0) @binding(2) var<storage, read> k: array<Piece>;          // (batch · seq, kv_heads · pieces)
@group(0) @binding(3) var<storage, read> v: array<Piece>;          // (batch · seq, kv_heads · pieces)
@group(0) @binding(4) var<storage, read> segments: array<u32>;     // (batch · seq)
@group(0) @binding(5) var<storage, read> dout: array<Piece>;       // (batch · seq, heads · pieces)
@group(0) @binding(6) var<storage, read> stats: array<vec2f>;      // (batch · seq, heads): lse, delta
@group(0) @binding(7) var<storage, read_write> dk: array<Piece>;   // (batch · seq, kv_heads · pieces)
@group(0) @binding(8) var<storage, read_write> dv: array<Piece>;   // (batch · seq, kv_heads · pieces)

@compute @workgroup_size(LANES)
fn flash_attention_keys_lanes(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let blocks = (params.seq + ROWS * LANES - 1) / (ROWS * LANES);
  let index = params.first + group.y * groups.x + group.x;
  let bk = index / blocks;
  if (bk >= params.batch * params.kv_heads) { return; }
  let j0 = index % blocks * (ROWS * LANES);
  let kv_head = bk % params.kv_heads;
  let per_group = params.heads / params.kv_heads;
  let row0 = bk / params.kv_heads * params.seq;
  let last = params.seq - 1;
  var key_at: array<u32, ROWS>;
  var end: array<u32, ROWS>;
  // unroll
  for (var r = 0u; r < ROWS; r++) {
    let j = min(j0 + r * LANES + lane, last);
    key_at[r] = ((row0 + j) * params.kv_heads + kv_head) * params.pieces;
    end[r] = segment_end(row0, j);
  }
  let last_end = segment_end(row0, min(j0 + ROWS * LANES, params.seq) - 1);
  let first_head = kv_head * per_group;
  for (var head = first_head; head < first_head + per_group; head++) {
    for (var i0 = j0; i0 < last_end; i0 += OTHERS) {
      var at: array<u32, LOADS>;
      var stat: array<vec2f, LOADS>;
      var s: array<f32, ROWS * OTHERS>;
      var dp: array<f32, ROWS * OTHERS>;
      // unroll
      for (var g = 0u; g < LOADS; g++) {
        at[g] = (row0 + min(i0 + g * LANES + lane, last)) * params.heads + head;
        stat[g] = stats[at[g]];
      }
      // unroll
      for (var e = 0u; e < SCORES; e++) {
        s[e] = 0.0;
        dp[e] = 0.0;
      }
      for (var p = 0u; p < params.pieces; p++) {
        var key: array<Piece, ROWS>;
        var value: array<Piece, ROWS>;
        var own_query: array<Piece, LOADS>;
        var own_d: array<Piece, LOADS>;
        // unroll
        for (var r = 0u; r < ROWS; r++) {
          key[r] = k[key_at[r] + p];
          value[r] = v[key_at[r] + p];
        }
        // unroll
        for (var g = 0u; g < LOADS; g++) {
          own_query[g] = q[at[g] * params.pieces + p];
          own_d[g] = dout[at[g] * params.pieces + p];
        }
        // unroll
        for (var c = 0u; c < OTHERS; c++) {
          let query = subgroupBroadcast(own_query[c / LANES], c % LANES);
          let d = subgroupBroadcast(own_d[c / LANES], c % LANES);
          // unroll
          for (var r = 0u; r < ROWS; r++) {
            s[r * OTHERS + c] = inner(key[r], query, s[r * OTHERS + c]);
            dp[r * OTHERS + c] = inner(value[r], d, dp[r * OTHERS + c]);
          }
        }
      }
      // unroll
      for (var c = 0u; c < OTHERS; c++) {
        let of_query = subgroupBroadcast(stat[c / LANES], c % LANES);
        // unroll
        for (var r = 0u; r < ROWS; r++) {
          let j = j0 + r * LANES + lane;
          let seen = i0 + c - j < end[r] - j; // from j to end: below j it wraps
          let probability = select(0.0, exp(s[r * OTHERS + c] * params.scale - of_query.x), seen);
          s[r * OTHERS + c] = probability;
          dp[r * OTHERS + c] = params.scale * probability * (dp[r * OTHERS + c] - of_query.y);
        }
      }
      for (var p = 0u; p < params.pieces; p++) {
        var own_query: array<Piece, LOADS>;
        var own_d: array<Piece, LOADS>;
        var key_sum: array<Piece, ROWS>;
        var value_sum: array<Piece, ROWS>;
        // unroll
        for (var g = 0u; g < LOADS; g++) {
          own_query[g] = q[at[g] * params.pieces + p];
          own_d[g] = dout[at[g] * params.pieces + p];
        }
        // unroll
        for (var r = 0u; r < ROWS; r++) {
          key_sum[r] = Piece();
          value_sum[r] = Piece();
        }
        if (i0 > j0 || head > first_head) {
          // unroll
          for (var r = 0u; r < ROWS; r++) {
            key_sum[r] = dk[key_at[r] + p];
            value_sum[r] = dv[key_at[r] + p];
          }
        }
        // unroll
        for (var c = 0u; c < OTHERS; c++) {
          let query = subgroupBroadcast(own_query[c / LANES], c % LANES);
          let d = subgroupBroadcast(own_d[c / LANES], c % LANES);
          // unroll
          for (var r = 0u; r < ROWS; r++) {
            key_sum[r] = fma(Piece(dp[r * OTHERS + c]), query, key_sum[r]);
            value_sum[r] = fma(Piece(s[r * OTHERS + c]), d, value_sum[r]);
          }
        }
        // unroll
        for (var r = 0u; r < ROWS; r++) {
          if (j0 + r * LANES + lane < params.seq) {
            dk[key_at[r] + p] = key_sum[r];
            dv[key_at[r] + p] = value_sum[r];
          }
        }
      }
    }
  }
}
