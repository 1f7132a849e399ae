struct Params { batch: u32, seq: u32, heads: u32, kv_heads: u32, head_dim: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weights: array<f32>; // (batch · heads, seq, seq)
@group(0) @binding(2) var<storage, read> x: array<f32>; // (batch · seq, heads · head_dim)
@group(0) @binding(3) var<storage, read_write> out: array<f32>; // (batch · seq, kv_heads · head_dim)

// out[j] = Σ_{heads of the group} Σ_{i ≥ j} weights[i, j] · x[i] for 4 keys × 4 dims a thread.
@compute @workgroup_size(64)
fn attention_keys(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let index = (group.y * groups.x + group.x) * 64u + local;
  let tiles = (params.seq + 3u) / 4u;
  let dim_tiles = (params.head_dim + 3u) / 4u;
  let d0 = index % dim_tiles * 4u;
  let j0 = index / dim_tiles % tiles * 4u;
  let bk = index / (dim_tiles * tiles);
  if (bk >= params.batch * params.kv_heads) { return; }
  let kv_head = bk % params.kv_heads;
  let sequence = bk / params.kv_heads;
  let row0 = sequence * params.seq;
  let stride = params.heads * params.head_dim;
  let per_group = params.heads / params.kv_heads;
  let j = min(vec4u(j0, j0 + 1u, j0 + 2u, j0 + 3u), vec4u(params.seq - 1u));
  let d = min(vec4u(d0, d0 + 1u, d0 + 2u, d0 + 3u), vec4u(params.head_dim - 1u));
  var o0 = vec4f();
  var o1 = vec4f();
  var o2 = vec4f();
  var o3 = vec4f();
  for (var head = kv_head * per_group; head < (kv_head + 1u) * per_group; head++) {
    var wt = ((sequence * params.heads + head) * params.seq + j0) * params.seq + j;
    var at = (row0 + j0) * stride + head * params.head_dim + d;
    for (var i = j0; i < params.seq; i++) {
      let value = vec4f(x[at.x], x[at.y], x[at.z], x[at.w]);
      o0 += weights[wt.x] * value;
      o1 += weights[wt.y] * value;
      o2 += weights[wt.z] * value;
      o3 += weights[wt.w] * value;
      wt += vec4u(params.seq);
      at += vec4u(stride);
    }
  }
  write(row0, j0, kv_head, d0, o0);
  write(row0, j0 + 1u, kv_head, d0, o1);
  write(row0, j0 + 2u, kv_head, d0, o2);
  write(row0, j0 + 3u, kv_head, d0, o3);
}

fn write(row0: u32, j: u32, kv_head: u32, d: u32, sums: vec4f) {
  if (j >= params.seq) { return; }
  let to = ((row0 + j) * params.kv_heads + kv_head) * params.head_dim + d;
  out[to] = sums.x;
  if (d + 1u < params.head_dim) { out[to + 1u] = sums.y; }
  if (d + 2u < params.head_dim) { out[to + 2u] = sums.z; }
  if (d + 3u < params.head_dim) { out[to + 3u] = sums.w; }
}
