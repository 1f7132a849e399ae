// dv[j] = Σ p · dout[i] and dk[j] = Σ ds[i, j] · q[i] over the queries i ≥ j of the segment and the heads of the group:
// 64 keys a workgroup, 32 queries at a time.
struct Params { batch: u32, seq: u32, heads: u32, kv_heads: u32, first: u32, scale: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<f32>;          // (batch · seq, heads · HEAD_DIM)
@group(0) @binding(2) var<storage, read> k: array<f32>;          // (batch · seq, kv_heads · HEAD_DIM)
@group(0) @binding(3) var<storage, read> v: array<f32>;          // (batch · seq, kv_heads · HEAD_DIM)
@group(0) @binding(4) var<storage, read> segments: array<u32>;   // (batch · seq)
@group(0) @binding(5) var<storage, read> dout: array<f32>;       // (batch · seq, heads · HEAD_DIM)
@group(0) @binding(6) var<storage, read> stats: array<vec2f>;    // (batch · seq, heads): lse, delta
@group(0) @binding(7) var<storage, read_write> dk: array<f32>;   // (batch · seq, kv_heads · HEAD_DIM)
@group(0) @binding(8) var<storage, read_write> dv: array<f32>;   // (batch · seq, kv_heads · HEAD_DIM)

@compute @workgroup_size(256)
fn flash_attention_keys_workgroup(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = lane / 16;
  let column = lane % 16;
  let blocks = (params.seq + 63) / 64;
  let index = params.first + group.y * groups.x + group.x;
  let bk = index / blocks;
  if (bk >= params.batch * params.kv_heads) { return; }
  let j0 = index % blocks * 64; // the longest first
  let kv_head = bk % params.kv_heads;
  let per_group = params.heads / params.kv_heads;
  let row0 = bk / params.kv_heads * params.seq;
  let last = params.seq - 1;
  let stride = params.heads * HEAD_DIM;
  let kv_stride = params.kv_heads * HEAD_DIM;
  let key0 = (row0 + j0) * kv_stride + kv_head * HEAD_DIM;
  let keys = Part(key0, kv_stride, params.seq - j0);
  var segment: array<u32, ROWS>;
  var key_sums: array<f32, ROWS * DIMS>;
  var value_sums: array<f32, ROWS * DIMS>;
  // unroll
  for (var i = 0u; i < ROWS; i++) { segment[i] = segments[row0 + min(j0 + row + i * 16, last)]; }
  let last_end = segment_end(row0, min(j0 + 64, params.seq) - 1);
  for (var head = kv_head * per_group; head < (kv_head + 1) * per_group; head++) {
    for (var i0 = j0; i0 < last_end; i0 += 32) {
      let part = Part((row0 + i0) * stride + head * HEAD_DIM, stride, params.seq - i0);
      var s = product_k_q(keys, part, lane);
      let dp = product_v_dout(keys, part, lane);
      var ds = array<f32, ROWS * OTHERS>();
      // unroll
      for (var j = 0u; j < OTHERS; j++) {
        let query = i0 + column + j * 16;
        let query_segment = segments[row0 + min(query, last)];
        let stat = stats[(row0 + min(query, last)) * params.heads + head];
        // unroll
        for (var i = 0u; i < ROWS; i++) {
          let seen = (query_segment == segment[i]) & (query >= j0 + row + i * 16) & (query <= last);
          let weight = select(0.0, exp(s[i * OTHERS + j] * params.scale - stat.x), seen);
          ds[i * OTHERS + j] = params.scale * weight * (dp[i * OTHERS + j] - stat.y);
          scores[(row + i * 16) * SCORE_STRIDE + column + j * 16] = weight;
        }
      }
      add_dout(&value_sums, part, lane);
      // unroll
      for (var i = 0u; i < ROWS; i++) {
        // unroll
        for (var j = 0u; j < OTHERS; j++) {
          scores[(row + i * 16) * SCORE_STRIDE + column + j * 16] = ds[i * OTHERS + j];
        }
      }
      add_q(&key_sums, part, lane);
    }
  }
  // unroll
  for (var i = 0u; i < ROWS; i++) {
    let r = row + i * 16;
    if (j0 + r < params.seq) {
      // unroll
      for (var d = 0u; d < DIMS; d++) {
        if (column + d * 16 < HEAD_DIM) {
          dk[key0 + r * kv_stride + column + d * 16] = key_sums[i * DIMS + d];
          dv[key0 + r * kv_stride + column + d * 16] = value_sums[i * DIMS + d];
        }
      }
    }
  }
}
