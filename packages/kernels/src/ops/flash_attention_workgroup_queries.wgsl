// dq = Σ_{j ≤ i} ds[i, j] · k[j], ds = scale · p · (dout · v[j] − delta[i]), p = exp(s − lse[i]): 64 queries a workgroup.
struct Params { batch: u32, seq: u32, heads: u32, kv_heads: u32, first: u32, scale: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<f32>;          // (batch · seq, heads · HEAD_DIM)
@group(0) @binding(2) var<storage, read> k: array<f32>;          // (batch · seq, kv_heads · HEAD_DIM)
@group(0) @binding(3) var<storage, read> v: array<f32>;          // (batch · seq, kv_heads · HEAD_DIM)
@group(0) @binding(4) var<storage, read> segments: array<u32>;   // (batch · seq)
@group(0) @binding(5) var<storage, read> dout: array<f32>;       // (batch · seq, heads · HEAD_DIM)
@group(0) @binding(6) var<storage, read> stats: array<vec2f>;    // (batch · seq, heads): lse, delta
@group(0) @binding(7) var<storage, read_write> dq: array<f32>;   // (batch · seq, heads · HEAD_DIM)

@compute @workgroup_size(256)
fn flash_attention_queries_workgroup(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = lane / 16;
  let column = lane % 16;
  let blocks = (params.seq + 63) / 64;
  let index = params.first + group.y * groups.x + group.x;
  let bh = index / blocks;
  if (bh >= params.batch * params.heads) { return; }
  let i0 = (blocks - 1 - index % blocks) * 64; // the longest first, so that none is left alone at the end
  let head = bh % params.heads;
  let row0 = bh / params.heads * params.seq;
  let last = params.seq - 1;
  let stride = params.heads * HEAD_DIM;
  let kv_stride = params.kv_heads * HEAD_DIM;
  let query0 = (row0 + i0) * stride + head * HEAD_DIM;
  let kv0 = row0 * kv_stride + head / (params.heads / params.kv_heads) * HEAD_DIM;
  let queries = Part(query0, stride, params.seq - i0);
  var segment: array<u32, ROWS>;
  var stat: array<vec2f, ROWS>;
  var sums: array<f32, ROWS * DIMS>;
  // unroll
  for (var i = 0u; i < ROWS; i++) {
    let query = min(i0 + row + i * 16, last);
    segment[i] = segments[row0 + query];
    stat[i] = stats[(row0 + query) * params.heads + head];
  }
  let end = min(i0 + 64, params.seq);
  for (var j0 = segment_start(row0, i0); j0 < end; j0 += 32) {
    let part = Part(kv0 + j0 * kv_stride, kv_stride, params.seq - j0);
    let s = product_q_k(queries, part, lane);
    let dp = product_dout_v(queries, part, lane);
    // unroll
    for (var j = 0u; j < OTHERS; j++) {
      let key = j0 + column + j * 16;
      let key_segment = segments[row0 + min(key, last)];
      // unroll
      for (var i = 0u; i < ROWS; i++) {
        let seen = (key_segment == segment[i]) & (key <= min(i0 + row + i * 16, last));
        let weight = exp(s[i * OTHERS + j] * params.scale - stat[i].x);
        let ds = params.scale * weight * (dp[i * OTHERS + j] - stat[i].y);
        scores[(row + i * 16) * SCORE_STRIDE + column + j * 16] = select(0.0, ds, seen);
      }
    }
    add_k(&sums, part, lane);
  }
  // unroll
  for (var i = 0u; i < ROWS; i++) {
    let r = row + i * 16;
    if (i0 + r < params.seq) {
      // unroll
      for (var d = 0u; d < DIMS; d++) {
        if (column + d * 16 < HEAD_DIM) { dq[query0 + r * stride + column + d * 16] = sums[i * DIMS + d]; }
      }
    }
  }
}
