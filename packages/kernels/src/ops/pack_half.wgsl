struct Params { quads: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>; // (quads)
@group(0) @binding(2) var<storage, read_write> packed: array<vec2u>; // (quads)

const LARGEST = 65504.0;

@compute @workgroup_size(64)
fn pack_half(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let i = (group.y * groups.x + group.x) * 64u + local;
  if (i >= params.quads) { return; }
  let v = clamp(x[i], vec4f(-LARGEST), vec4f(LARGEST)); // beyond it the result of pack2x16float is anything
  packed[i] = vec2u(pack2x16float(v.xy), pack2x16float(v.zw));
}
