// A thread owns ROWS queries, LANES apart, and takes OTHERS keys at a time. The sums stand in `out` meanwhile: a head in
// registers makes llvmpipe compile for a minute, and SwiftShader keeps registers in memory anyhow.
struct Params { batch: u32, seq: u32, heads: u32, kv_heads: u32, first: u32, pieces: u32, scale: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<Piece>;          // (batch · seq, heads · pieces)
@group(0) @binding(2) var<storage, read> k: array<Piece>;          // (batch · seq, kv_heads · pieces)
@group(0) @binding(3) var<storage, read> v: array<Piece>;          // (batch · seq, kv_heads · pieces)
@group(0) @binding(4) var<storage, read> segments: array<u32>;     // (batch · seq)
@group(0) @binding(5) var<storage, read_write> out: array<Piece>;  // (batch · seq, heads · pieces)
@group(0) @binding(6) var<storage, read_write> lse: array<f32>;    // (batch · seq, heads)

// Arrays of a loop are set to zeros in words: Dawn on Vulkan keeps what the last round left in a bare `var` (webgpu 0.6.2).
@compute @workgroup_size(LANES)
fn flash_attention_forward_direct(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
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
  var largest: array<f32, ROWS>;
  var total: array<f32, ROWS>;
  // unroll
  for (var r = 0u; r < ROWS; r++) {
    let i = min(i0 + r * LANES + lane, last);
    query_at[r] = ((row0 + i) * params.heads + head) * params.pieces;
    start[r] = segment_start(row0, i);
    largest[r] = -3.4e38;
  }
  let begin = segment_start(row0, i0);
  let end = min(i0 + ROWS * LANES, params.seq);
  for (var j0 = begin; j0 < end; j0 += OTHERS) {
    var key_at: array<u32, OTHERS>;
    // unroll
    for (var c = 0u; c < OTHERS; c++) { key_at[c] = kv0 + min(j0 + c, last) * stride; }
    var s = array<f32, ROWS * OTHERS>();
    for (var p = 0u; p < params.pieces; p++) {
      var query: array<Piece, ROWS>;
      // unroll
      for (var r = 0u; r < ROWS; r++) { query[r] = q[query_at[r] + p]; }
      // unroll
      for (var c = 0u; c < OTHERS; c++) {
        let key = k[key_at[c] + p];
        // unroll
        for (var r = 0u; r < ROWS; r++) { s[r * OTHERS + c] = inner(query[r], key, s[r * OTHERS + c]); }
      }
    }
    var shrink: array<f32, ROWS>;
    // unroll
    for (var r = 0u; r < ROWS; r++) {
      let i = i0 + r * LANES + lane;
      var block_largest = largest[r];
      // unroll
      for (var c = 0u; c < OTHERS; c++) {
        let seen = j0 + c >= start[r] && j0 + c <= i;
        s[r * OTHERS + c] = select(-3.4e38, s[r * OTHERS + c] * params.scale, seen);
        block_largest = max(block_largest, s[r * OTHERS + c]);
      }
      shrink[r] = exp(largest[r] - block_largest);
      largest[r] = block_largest;
      total[r] *= shrink[r];
      // unroll
      for (var c = 0u; c < OTHERS; c++) {
        let seen = s[r * OTHERS + c] > -3.3e38;
        s[r * OTHERS + c] = select(0.0, exp(s[r * OTHERS + c] - block_largest), seen);
        total[r] += s[r * OTHERS + c];
      }
    }
    for (var p = 0u; p < params.pieces; p++) {
      var sum = array<Piece, ROWS>();
      if (j0 > begin) {
        // unroll
        for (var r = 0u; r < ROWS; r++) { sum[r] = out[query_at[r] + p] * shrink[r]; }
      }
      // unroll
      for (var c = 0u; c < OTHERS; c++) {
        let value = v[key_at[c] + p];
        // unroll
        for (var r = 0u; r < ROWS; r++) { sum[r] = fma(Piece(s[r * OTHERS + c]), value, sum[r]); }
      }
      // unroll
      for (var r = 0u; r < ROWS; r++) {
        if (i0 + r * LANES + lane < params.seq) { out[query_at[r] + p] = sum[r]; }
      }
    }
  }
  // unroll
  for (var r = 0u; r < ROWS; r++) {
    if (i0 + r * LANES + lane < params.seq) {
      lse[query_at[r] / params.pieces] = largest[r] + log(total[r]);
      for (var p = 0u; p < params.pieces; p++) { out[query_at[r] + p] /= total[r]; }
    }
  }
}
