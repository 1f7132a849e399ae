struct Params { batch: u32, seq: u32, heads: u32, kv_heads: u32, head_dim: u32, scale: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>; // (batch · seq, heads · head_dim)
@group(0) @binding(2) var<storage, read> b: array<f32>; // (batch · seq, kv_heads · head_dim)
@group(0) @binding(3) var<storage, read_write> scores: array<f32>; // (batch · heads, seq, seq)

// scores[i, j] = scale · a[i] · b[j] for 4 queries × 4 keys a thread; tiles above the diagonal are left unwritten.
@compute @workgroup_size(64)
fn attention_scores(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let index = (group.y * groups.x + group.x) * 64u + local;
  let tiles = (params.seq + 3u) / 4u;
  let i0 = index / tiles % tiles * 4u;
  let j0 = index % tiles * 4u;
  let bh = index / (tiles * tiles);
  if (bh >= params.batch * params.heads || j0 > i0) { return; }
  let head = bh % params.heads;
  let row0 = bh / params.heads * params.seq;
  let last = params.seq - 1u;
  let i = min(vec4u(i0, i0 + 1u, i0 + 2u, i0 + 3u), vec4u(last));
  let j = min(vec4u(j0, j0 + 1u, j0 + 2u, j0 + 3u), vec4u(last));
  let at = (row0 + i) * (params.heads * params.head_dim) + head * params.head_dim;
  let kv_head = head / (params.heads / params.kv_heads);
  let bt = (row0 + j) * (params.kv_heads * params.head_dim) + kv_head * params.head_dim;
  var s0 = vec4f();
  var s1 = vec4f();
  var s2 = vec4f();
  var s3 = vec4f();
  for (var d = 0u; d < params.head_dim; d++) {
    let keys = vec4f(b[bt.x + d], b[bt.y + d], b[bt.z + d], b[bt.w + d]);
    s0 += a[at.x + d] * keys;
    s1 += a[at.y + d] * keys;
    s2 += a[at.z + d] * keys;
    s3 += a[at.w + d] * keys;
  }
  let first = bh * params.seq * params.seq;
  write(first, i0, j0, s0 * params.scale);
  write(first, i0 + 1u, j0, s1 * params.scale);
  write(first, i0 + 2u, j0, s2 * params.scale);
  write(first, i0 + 3u, j0, s3 * params.scale);
}

fn write(first: u32, i: u32, j: u32, values: vec4f) {
  if (i >= params.seq) { return; }
  let to = first + i * params.seq + j;
  scores[to] = values.x;
  if (j + 1u < params.seq) { scores[to + 1u] = values.y; }
  if (j + 2u < params.seq) { scores[to + 2u] = values.z; }
  if (j + 3u < params.seq) { scores[to + 3u] = values.w; }
}
