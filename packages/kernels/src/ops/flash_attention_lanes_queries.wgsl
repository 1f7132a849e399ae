enable subgroups;
// dq = Σ_{j ≤ i} ds[i, j] · k[j], ds = scale · p · (dout · v[j] − delta[i]), p = exp(s − lse[i]). A lane owns ROWS queries;
// of each block of OTHERS keys and values it loads its own, and broadcasts hand them to all.
struct Params { batch: u32, seq: u32, heads: u32, kv_heads: u32, first: u32, pieces: u32, scale: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<Piece>;          // (batch · seq, heads · pieces)
@group(0) @binding(2) var<storage, read> k: array<Piece>;          // (batch · seq, kv_heads · pieces)
@group(0) @binding(3) var<storage, read> v: array<Piece>;          // (batch · seq, kv_heads · pieces)
@group(0) @binding(4) var<storage, read> segments: array<u32>;     // (batch · seq)
@group(0) @binding(5) var<storage, read> dout: array<Piece>;       // (batch · seq, heads · pieces)
@group(0) @binding(6) var<storage, read> stats: array<vec2f>;      // (batch · seq, heads): lse, delta
@group(0) @binding(7) var<storage, read_write> dq: array<Piece>;   // (batch · seq, heads · pieces)

@compute @workgroup_size(LANES)
fn flash_attention_queries_lanes(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let blocks = (params.seq + ROWS * LANES - 1) / (ROWS * LANES);
  let index = params.first + group.y * groups.x + group.x;
  let bh = index / blocks;
  if (bh >= params.batch * params.heads) { return; }
  let i0 = index % blocks * (ROWS * LANES);
  let head = bh % params.heads;
  let row0 = bh / params.heads * params.seq;
  let last = params.seq - 1;
  let stride = params.kv_heads * params.pieces;
  let kv0 = row0 * stride + head / (params.heads / params.kv_heads) * params.pieces;
  var query_at: array<u32, ROWS>;
  var start: array<u32, ROWS>;
  var stat: array<vec2f, ROWS>;
  // unroll
  for (var r = 0u; r < ROWS; r++) {
    let i = min(i0 + r * LANES + lane, last);
    query_at[r] = ((row0 + i) * params.heads + head) * params.pieces;
    start[r] = segment_start(row0, i);
    stat[r] = stats[(row0 + i) * params.heads + head];
  }
  let begin = segment_start(row0, i0);
  let end = min(i0 + ROWS * LANES, params.seq);
  for (var j0 = begin; j0 < end; j0 += OTHERS) {
    var key_at: array<u32, LOADS>;
    var s: array<f32, ROWS * OTHERS>;
    var dp: array<f32, ROWS * OTHERS>;
    // unroll
    for (var g = 0u; g < LOADS; g++) { key_at[g] = kv0 + min(j0 + g * LANES + lane, last) * stride; }
    // unroll
    for (var e = 0u; e < SCORES; e++) {
      s[e] = 0.0;
      dp[e] = 0.0;
    }
    for (var p = 0u; p < params.pieces; p++) {
      var query: array<Piece, ROWS>;
      var d: array<Piece, ROWS>;
      var own_key: array<Piece, LOADS>;
      var own_value: array<Piece, LOADS>;
      // unroll
      for (var r = 0u; r < ROWS; r++) {
        query[r] = q[query_at[r] + p];
        d[r] = dout[query_at[r] + p];
      }
      // unroll
      for (var g = 0u; g < LOADS; g++) {
        own_key[g] = k[key_at[g] + p];
        own_value[g] = v[key_at[g] + p];
      }
      // unroll
      for (var c = 0u; c < OTHERS; c++) {
        let key = subgroupBroadcast(own_key[c / LANES], c % LANES);
        let value = subgroupBroadcast(own_value[c / LANES], c % LANES);
        // unroll
        for (var r = 0u; r < ROWS; r++) {
          s[r * OTHERS + c] = inner(query[r], key, s[r * OTHERS + c]);
          dp[r * OTHERS + c] = inner(d[r], value, dp[r * OTHERS + c]);
        }
      }
    }
    // unroll
    for (var r = 0u; r < ROWS; r++) {
      let i = i0 + r * LANES + lane;
      // unroll
      for (var c = 0u; c < OTHERS; c++) {
        let seen = j0 + c - start[r] <= i - start[r]; // from start to i: below start it wraps
        let probability = exp(s[r * OTHERS + c] * params.scale - stat[r].x);
        s[r * OTHERS + c] = select(0.0, params.scale * probability * (dp[r * OTHERS + c] - stat[r].y), seen);
      }
    }
    for (var p = 0u; p < params.pieces; p++) {
      var own: array<Piece, LOADS>;
      var sum: array<Piece, ROWS>;
      // unroll
      for (var g = 0u; g < LOADS; g++) { own[g] = k[key_at[g] + p]; }
      // unroll
      for (var r = 0u; r < ROWS; r++) { sum[r] = Piece(); }
      if (j0 > begin) {
        // unroll
        for (var r = 0u; r < ROWS; r++) { sum[r] = dq[query_at[r] + p]; }
      }
      // unroll
      for (var c = 0u; c < OTHERS; c++) {
        let key = subgroupBroadcast(own[c / LANES], c % LANES);
        // unroll
        for (var r = 0u; r < ROWS; r++) { sum[r] = fma(Piece(s[r * OTHERS + c]), key, sum[r]); }
      }
      // unroll
      for (var r = 0u; r < ROWS; r++) {
        if (i0 + r * LANES + lane < params.seq) { dq[query_at[r] + p] = sum[r]; }
      }
    }
  }
}
