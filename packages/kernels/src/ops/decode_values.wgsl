struct Params { max_seq: u32, heads: u32, kv_heads: u32, head_dim: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> probs: array<f32>; // (heads, max_seq)
@group(0) @binding(2) var<storage, read> v_cache: array<f32>; // (max_seq, kv_heads · head_dim)
@group(0) @binding(3) var<storage, read> length: array<u32>; // (1)
@group(0) @binding(4) var<storage, read_write> out: array<f32>; // (1, heads · head_dim)

@compute @workgroup_size(64)
fn decode_values(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.heads * params.head_dim) { return; }
  let head = id.x / params.head_dim;
  let kv_head = head / (params.heads / params.kv_heads);
  let stride = params.kv_heads * params.head_dim;
  let keys = min(length[0], params.max_seq);
  var at = kv_head * params.head_dim + id.x % params.head_dim;
  var sum = 0.0;
  for (var j = 0u; j < keys; j++) {
    sum += probs[head * params.max_seq + j] * v_cache[at];
    at += stride;
  }
  out[id.x] = sum;
}
