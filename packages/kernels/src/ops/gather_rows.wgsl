struct Params { count: u32, dim: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // (rows, dim)
@group(0) @binding(2) var<storage, read> index: array<u32>; // (count), 0xffffffff = padding
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // (count, dim)

@compute @workgroup_size(64)
fn gather_rows(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let i = (group.y * groups.x + group.x) * 64u + local;
  if (i >= params.count * params.dim) { return; }
  let row = index[i / params.dim];
  if (row == 0xffffffffu) {
    y[i] = 0.0;
  } else {
    y[i] = x[row * params.dim + i % params.dim];
  }
}
