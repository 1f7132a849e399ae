enable subgroups;
// out[j] = Σ_{heads of the group} Σ_{i ≥ j} weights[i, j] · x[i]. A lane owns ROWS keys, LANES apart; of each block of OTHERS
// queries it loads its own, and broadcasts hand them to all. The sums stand in `out` meanwhile.
struct Params { batch: u32, seq: u32, heads: u32, kv_heads: u32, pieces: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weights: array<f32>;     // (batch · heads, seq, seq)
@group(0) @binding(2) var<storage, read> x: array<Piece>;         // (batch · seq, heads · pieces)
@group(0) @binding(3) var<storage, read_write> out: array<Piece>; // (batch · seq, kv_heads · pieces)

@compute @workgroup_size(LANES)
fn attention_keys_lanes(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let blocks = (params.seq + ROWS * LANES - 1) / (ROWS * LANES);
  let index = group.y * groups.x + group.x;
  let bk = index / blocks;
  if (bk >= params.batch * params.kv_heads) { return; }
  let j0 = index % blocks * (ROWS * LANES);
  let kv_head = bk % params.kv_heads;
  let sequence = bk / params.kv_heads;
  let row0 = sequence * params.seq;
  let last = params.seq - 1;
  let per_group = params.heads / params.kv_heads;
  let first_head = kv_head * per_group;
  var out_at: array<u32, ROWS>;
  var weight_at: array<u32, ROWS>;
  // unroll
  for (var r = 0u; r < ROWS; r++) {
    weight_at[r] = min(j0 + r * LANES + lane, last);
    out_at[r] = ((row0 + weight_at[r]) * params.kv_heads + kv_head) * params.pieces;
  }
  for (var head = first_head; head < first_head + per_group; head++) {
    let first = (sequence * params.heads + head) * params.seq;
    for (var i0 = j0; i0 < params.seq; i0 += OTHERS) {
      var x_at: array<u32, LOADS>;
      var weight: array<f32, ROWS * OTHERS>;
      // unroll
      for (var g = 0u; g < LOADS; g++) {
        x_at[g] = ((row0 + min(i0 + g * LANES + lane, last)) * params.heads + head) * params.pieces;
      }
      // unroll
      for (var c = 0u; c < OTHERS; c++) {
        let row = (first + min(i0 + c, last)) * params.seq;
        // unroll
        for (var r = 0u; r < ROWS; r++) {
          // From j to the last query: below j it wraps.
          let seen = i0 + c - weight_at[r] <= last - weight_at[r];
          weight[r * OTHERS + c] = select(0.0, weights[row + weight_at[r]], seen);
        }
      }
      for (var p = 0u; p < params.pieces; p++) {
        var own: array<Piece, LOADS>;
        var sum: array<Piece, ROWS>;
        // unroll
        for (var g = 0u; g < LOADS; g++) { own[g] = x[x_at[g] + p]; }
        // unroll
        for (var r = 0u; r < ROWS; r++) { sum[r] = Piece(); }
        if (i0 + head > j0 + first_head) {
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
          if (j0 + r * LANES + lane <= last) { out[out_at[r] + p] = sum[r]; }
        }
      }
    }
  }
}
