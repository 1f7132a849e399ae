struct Params { width: u32, max_seq: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> kv: array<f32>; // (1, width)
@group(0) @binding(2) var<storage, read_write> cache: array<f32>; // (max_seq, width)
@group(0) @binding(3) var<storage, read> length: array<u32>; // (1)

@compute @workgroup_size(64)
fn cache_write(@builtin(global_invocation_id) id: vec3u) {
  let row = length[0] - 1u; // wraps for length 0, which the guard below catches
  if (id.x < params.width && row < params.max_seq) { cache[row * params.width + id.x] = kv[id.x]; }
}
