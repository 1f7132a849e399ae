struct Params { quads: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> packed: array<vec2u>; // (quads)
@group(0) @binding(2) var<storage, read_write> x: array<vec4f>; // (quads)

@compute @workgroup_size(64)
fn unpack_half(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let i = (group.y * groups.x + group.x) * 64u + local;
  if (i >= params.quads) { return; }
  let v = packed[i];
  x[i] = vec4f(unpack2x16float(v.x), unpack2x16float(v.y));
}
