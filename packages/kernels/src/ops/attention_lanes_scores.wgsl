enable subgroups;
// scores[i, j] = scale · a[i] · b[j] for j ≤ i, and up to the end of its tile of 4, which the softmax reads. A workgroup is one
// subgroup. A lane owns ROWS queries, LANES apart; of each block of OTHERS keys a lane loads its own, and broadcasts hand
// them to all: a load costs as much where all lanes load the same.
struct Params { batch: u32, seq: u32, heads: u32, kv_heads: u32, pieces: u32, scale: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<Piece>;          // (batch · seq, heads · pieces)
@group(0) @binding(2) var<storage, read> b: array<Piece>;          // (batch · seq, kv_heads · pieces)
@group(0) @binding(3) var<storage, read_write> scores: array<f32>; // (batch · heads, seq, seq)

@compute @workgroup_size(LANES)
fn attention_scores_lanes(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let blocks = (params.seq + ROWS * LANES - 1) / (ROWS * LANES);
  let index = group.y * groups.x + group.x;
  let bh = index / blocks;
  if (bh >= params.batch * params.heads) { return; }
  let i0 = index % blocks * (ROWS * LANES);
  let head = bh % params.heads;
  let row0 = bh / params.heads * params.seq;
  let last = params.seq - 1;
  let stride = params.kv_heads * params.pieces;
  let kv0 = row0 * stride + head / (params.heads / params.kv_heads) * params.pieces;
  var a_at: array<u32, ROWS>;
  var to: array<u32, ROWS>;
  var limit: array<u32, ROWS>;
  // unroll
  for (var r = 0u; r < ROWS; r++) {
    let i = i0 + r * LANES + lane;
    a_at[r] = ((row0 + min(i, last)) * params.heads + head) * params.pieces;
    to[r] = (bh * params.seq + i) * params.seq;
    limit[r] = select(0, min((i / 4 + 1) * 4, params.seq), i <= last);
  }
  let end = min(i0 + ROWS * LANES, params.seq);
  for (var j0 = 0u; j0 < end; j0 += OTHERS) {
    var b_at: array<u32, LOADS>;
    var s: array<f32, ROWS * OTHERS>;
    // unroll
    for (var g = 0u; g < LOADS; g++) { b_at[g] = kv0 + min(j0 + g * LANES + lane, last) * stride; }
    // unroll
    for (var e = 0u; e < SCORES; e++) { s[e] = 0.0; }
    for (var p = 0u; p < params.pieces; p++) {
      var query: array<Piece, ROWS>;
      var own: array<Piece, LOADS>;
      // unroll
      for (var r = 0u; r < ROWS; r++) { query[r] = a[a_at[r] + p]; }
      // unroll
      for (var g = 0u; g < LOADS; g++) { own[g] = b[b_at[g] + p]; }
      // unroll
      for (var c = 0u; c < OTHERS; c++) {
        let key = subgroupBroadcast(own[c / LANES], c % LANES);
        // unroll
        for (var r = 0u; r < ROWS; r++) { s[r * OTHERS + c] = inner(query[r], key, s[r * OTHERS + c]); }
      }
    }
    // unroll
    for (var r = 0u; r < ROWS; r++) {
      // unroll
      for (var c = 0u; c < OTHERS; c++) {
        if (j0 + c < limit[r]) { scores[to[r] + j0 + c] = s[r * OTHERS + c] * params.scale; }
      }
    }
  }
}
