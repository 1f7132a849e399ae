// x[m, k] = weight_scale(ids[m]) · w[ids[m], k]; an id outside the vocabulary gives a row of zeros.
struct Params { quads: u32, input_quads: u32, vocabulary: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> ids: array<u32>;        // (rows)
@group(0) @binding(2) var<storage, read_write> x: array<vec4f>;  // (rows, dim / 4)

@compute @workgroup_size(64)
fn embedding(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let at = id.y * groups.x * 64 + id.x;
  if (at >= params.quads) { return; }
  let row = ids[at / params.input_quads];
  if (row >= params.vocabulary) {
    x[at] = vec4f();
    return;
  }
  x[at] = weight_scale(row) * weights(row * params.input_quads + at % params.input_quads);
}
