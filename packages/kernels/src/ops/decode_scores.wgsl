struct Params { max_seq: u32, heads: u32, kv_heads: u32, head_dim: u32, scale: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<f32>; // (1, heads · head_dim)
@group(0) @binding(2) var<storage, read> k_cache: array<f32>; // (max_seq, kv_heads · head_dim)
@group(0) @binding(3) var<storage, read> length: array<u32>; // (1)
@group(0) @binding(4) var<storage, read_write> scores: array<f32>; // (heads, max_seq)

@compute @workgroup_size(64)
fn decode_scores(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let index = (group.y * groups.x + group.x) * 64u + local;
  let head = index / params.max_seq;
  let j = index % params.max_seq;
  if (head >= params.heads || j >= length[0]) { return; }
  let kv_head = head / (params.heads / params.kv_heads);
  let qt = head * params.head_dim;
  let kt = (j * params.kv_heads + kv_head) * params.head_dim;
  var sum = 0.0;
  for (var d = 0u; d < params.head_dim; d++) { sum += q[qt + d] * k_cache[kt + d]; }
  scores[index] = sum * params.scale;
}
