// One workgroup makes 64 queries of one head, with the online softmax over blocks of 32 keys.
struct Params { batch: u32, seq: u32, heads: u32, kv_heads: u32, first: u32, scale: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<f32>;          // (batch · seq, heads · HEAD_DIM)
@group(0) @binding(2) var<storage, read> k: array<f32>;          // (batch · seq, kv_heads · HEAD_DIM)
@group(0) @binding(3) var<storage, read> v: array<f32>;          // (batch · seq, kv_heads · HEAD_DIM)
@group(0) @binding(4) var<storage, read> segments: array<u32>;   // (batch · seq)
@group(0) @binding(5) var<storage, read_write> out: array<f32>;  // (batch · seq, heads · HEAD_DIM)
@group(0) @binding(6) var<storage, read_write> lse: array<f32>;  // (batch · seq, heads)

@compute @workgroup_size(256)
fn flash_attention_forward_workgroup(
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
  var largest: array<f32, ROWS>;
  var total: array<f32, ROWS>; // of the thread's own keys
  var sums: array<f32, ROWS * DIMS>;
  // unroll
  for (var i = 0u; i < ROWS; i++) {
    segment[i] = segments[row0 + min(i0 + row + i * 16, last)];
    largest[i] = -3.4e38;
  }
  let end = min(i0 + 64, params.seq);
  for (var j0 = segment_start(row0, i0); j0 < end; j0 += 32) {
    let at = kv0 + j0 * kv_stride;
    let part = Part(at, kv_stride, params.seq - j0);
    var s = product_q_k(queries, part, lane);
    // unroll
    for (var j = 0u; j < OTHERS; j++) {
      let key = j0 + column + j * 16;
      let key_segment = segments[row0 + min(key, last)];
      // unroll
      for (var i = 0u; i < ROWS; i++) {
        let seen = (key_segment == segment[i]) & (key <= min(i0 + row + i * 16, last));
        s[i * OTHERS + j] = select(-3.4e38, s[i * OTHERS + j] * params.scale, seen);
        scores[(row + i * 16) * SCORE_STRIDE + column + j * 16] = s[i * OTHERS + j];
      }
    }
    workgroupBarrier();
    var above = largest;
    for (var c = 0u; c < 32; c++) {
      // unroll
      for (var i = 0u; i < ROWS; i++) { above[i] = max(above[i], scores[(row + i * 16) * SCORE_STRIDE + c]); }
    }
    workgroupBarrier();
    // unroll
    for (var i = 0u; i < ROWS; i++) {
      let shrink = exp(largest[i] - above[i]);
      largest[i] = above[i];
      total[i] *= shrink;
      // unroll
      for (var j = 0u; j < OTHERS; j++) {
        let seen = s[i * OTHERS + j] > -3.3e38;
        let weight = select(0.0, exp(s[i * OTHERS + j] - above[i]), seen);
        total[i] += weight;
        scores[(row + i * 16) * SCORE_STRIDE + column + j * 16] = weight;
      }
      // unroll
      for (var d = 0u; d < DIMS; d++) { sums[i * DIMS + d] *= shrink; }
    }
    add_v(&sums, part, lane);
  }
  // unroll
  for (var i = 0u; i < ROWS; i++) { scores[(row + i * 16) * SCORE_STRIDE + column] = total[i]; }
  workgroupBarrier();
  // unroll
  for (var i = 0u; i < ROWS; i++) {
    let r = row + i * 16;
    var whole = 0.0;
    for (var c = 0u; c < 16; c++) { whole += scores[r * SCORE_STRIDE + c]; }
    if (i0 + r < params.seq) {
      if (column == 0) { lse[(row0 + i0 + r) * params.heads + head] = largest[i] + log(whole); }
      // unroll
      for (var d = 0u; d < DIMS; d++) {
        if (column + d * 16 < HEAD_DIM) { out[query0 + r * stride + column + d * 16] = sums[i * DIMS + d] / whole; }
      }
    }
  }
}
