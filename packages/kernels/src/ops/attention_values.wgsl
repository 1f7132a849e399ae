struct Params { batch: u32, seq: u32, heads: u32, kv_heads: u32, head_dim: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weights: array<f32>; // (batch · heads, seq, seq)
@group(0) @binding(2) var<storage, read> values: array<f32>; // (batch · seq, kv_heads · head_dim)
@group(0) @binding(3) var<storage, read_write> out: array<f32>; // (batch · seq, heads · head_dim)

// out[i] = Σ_{j ≤ i} weights[i, j] · values[j] for 4 queries × 4 dims a thread.
@compute @workgroup_size(64)
fn attention_values(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let index = (group.y * groups.x + group.x) * 64u + local;
  let tiles = (params.seq + 3u) / 4u;
  let dim_tiles = (params.head_dim + 3u) / 4u;
  let d0 = index % dim_tiles * 4u;
  let i0 = index / dim_tiles % tiles * 4u;
  let bh = index / (dim_tiles * tiles);
  if (bh >= params.batch * params.heads) { return; }
  let head = bh % params.heads;
  let row0 = bh / params.heads * params.seq;
  let last = params.seq - 1u;
  let wt = (bh * params.seq + min(vec4u(i0, i0 + 1u, i0 + 2u, i0 + 3u), vec4u(last))) * params.seq;
  let stride = params.kv_heads * params.head_dim;
  let kv_head = head / (params.heads / params.kv_heads);
  let d = min(vec4u(d0, d0 + 1u, d0 + 2u, d0 + 3u), vec4u(params.head_dim - 1u));
  var at = row0 * stride + kv_head * params.head_dim + d;
  var o0 = vec4f();
  var o1 = vec4f();
  var o2 = vec4f();
  var o3 = vec4f();
  let end = min(i0 + 4u, params.seq);
  for (var j = 0u; j < end; j++) {
    let value = vec4f(values[at.x], values[at.y], values[at.z], values[at.w]);
    o0 += weights[wt.x + j] * value;
    o1 += weights[wt.y + j] * value;
    o2 += weights[wt.z + j] * value;
    o3 += weights[wt.w + j] * value;
    at += vec4u(stride);
  }
  write(row0, i0, head, d0, o0);
  write(row0, i0 + 1u, head, d0, o1);
  write(row0, i0 + 2u, head, d0, o2);
  write(row0, i0 + 3u, head, d0, o3);
}

fn write(row0: u32, i: u32, head: u32, d: u32, sums: vec4f) {
  if (i >= params.seq) { return; }
  let to = ((row0 + i) * params.heads + head) * params.head_dim + d;
  out[to] = sums.x;
  if (d + 1u < params.head_dim) { out[to + 1u] = sums.y; }
  if (d + 2u < params.head_dim) { out[to + 2u] = sums.z; }
  if (d + 3u < params.head_dim) { out[to + 3u] = sums.w; }
}
