// Repeatable noise made on the GPU, so that no model of many gigabytes has to pass through JavaScript: a hash of the index.
struct Params { words: u32, salt: u32, scale: f32, offset: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<u32>;

override KIND: u32 = 0u; // 0: f32 in offset ± scale, 1: four int8 in −127…127

// The finaliser of murmur3 (Appleby, public domain).
fn hash(value: u32) -> u32 {
  var h = value ^ params.salt;
  h = (h ^ (h >> 16u)) * 0x85ebca6bu;
  h = (h ^ (h >> 13u)) * 0xc2b2ae35u;
  return h ^ (h >> 16u);
}

@compute @workgroup_size(64)
fn fill(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let at = (group.y * groups.x + group.x) * 64u + lane;
  if (at >= params.words) { return; }
  let noise = hash(at);
  if (KIND == 0u) {
    out[at] = bitcast<u32>(params.offset + params.scale * (f32(noise >> 8u) / 8388608.0 - 1.0));
  } else {
    let bytes = (vec4u(noise, noise >> 8u, noise >> 16u, noise >> 24u) & vec4u(255u)) % 255u;
    out[at] = pack4xI8(vec4i(bytes) - 127);
  }
}
