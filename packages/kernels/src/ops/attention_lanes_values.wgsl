enable subgroups;
// out[i] = Σ_{j ≤ i} weights[i, j] · values[j]. A lane owns ROWS queries, LANES apart; of each block of OTHERS values it loads
// its own, and broadcasts hand them to all. The sums stand in `out` meanwhile.
struct Params { batch: u32, seq: u32, heads: u32, kv_heads: u32, pieces: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weights: array<f32>;     // (batch · heads, seq, seq)
@group(0) @binding(2) var<storage, read> values: array<Piece>;    // (batch · seq, kv_heads · pieces)
@group(0) @binding(3) var<storage, read_write> out: array<Piece>; // (batch · seq, heads · pieces)

@compute @workgroup_size(LANES)
fn attention_values_lanes(
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
  var out_at: array<u32, ROWS>;
  var weight_at: array<u32, ROWS>;
  // unroll
  for (var r = 0u; r < ROWS; r++) {
    let i = min(i0 + r * LANES + lane, last);
    out_at[r] = ((row0 + i) * params.heads + head) * params.pieces;
    weight_at[r] = (bh * params.seq + i) * params.seq;
  }
  let end = min(i0 + ROWS * LANES, params.seq);
  for (var j0 = 0u; j0 < end; j0 += OTHERS) {
    var value_at: array<u32, LOADS>;
    var weight: array<f32, ROWS * OTHERS>;
    // unroll
    for (var g = 0u; g < LOADS; g++) { value_at[g] = kv0 + min(j0 + g * LANES + lane, last) * stride; }
    // unroll
    for (var r = 0u; r < ROWS; r++) {
      // unroll
      for (var c = 0u; c < OTHERS; c++) {
        weight[r * OTHERS + c] = select(0.0, weights[weight_at[r] + min(j0 + c, last)], j0 + c <= i0 + r * LANES + lane);
      }
    }
    for (var p = 0u; p < params.pieces; p++) {
      var own: array<Piece, LOADS>;
      var sum: array<Piece, ROWS>;
      // unroll
      for (var g = 0u; g < LOADS; g++) { own[g] = values[value_at[g] + p]; }
      // unroll
      for (var r = 0u; r < ROWS; r++) { sum[r] = Piece(); }
      if (j0 > 0) {
        // unroll
        for (var r = 0u; r < ROWS; r++) { sum[r] = out[out_at[r] + p]; }
      }
      // unroll
      for (var c = 0u; c < OTHERS; c++) {
        let value = subgroupBroadcast(own[c / LANES], c % LANES);
        // unroll
        for (var r = 0u; r < ROWS; r++) { sum[r] = fma(Piece(weight[r * OTHERS + c]), value, sum[r]); }
      }
      // unroll
      for (var r = 0u; r < ROWS; r++) {
        if (i0 + r * LANES + lane <= last) { out[out_at[r] + p] = sum[r]; }
      }
    }
  }
}
