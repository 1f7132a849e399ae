// A row of x in whole numbers: scale[m] = max_k |x[m, k]| / LARGEST and q[m, k] = round(x[m, k] / scale[m]) over the columns
// that are no outliers, q = 0 in those that are; their values go to outlier_x. A row of zeros has scale 0. With two planes
// q = 256 · high + low, where low in [−128, 127] leaves high in [−127, 127]. LANES threads share a row.
struct Params { rows: u32, input_quads: u32, limit: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;                 // (rows, inputs / 4)
@group(0) @binding(2) var<storage, read> columns: array<vec4u>;           // (inputs / 4), 1 for outliers
@group(0) @binding(3) var<storage, read> outliers: array<u32>;            // (1 + limit): count, columns
@group(0) @binding(4) var<storage, read_write> q: array<u32>;             // (rows, PLANES, inputs / 4)
@group(0) @binding(5) var<storage, read_write> scale: array<f32>;         // (rows)
@group(0) @binding(6) var<storage, read_write> outlier_x: array<f32>;     // (rows, limit)
override PLANES: u32 = 1u;
override LARGEST: f32 = 127.0; // 127 · 256 + 127 with two planes

fn regular(at: u32, quad: u32) -> vec4f { return select(x[at + quad], vec4f(), columns[quad] != vec4u()); }

@compute @workgroup_size(64)
fn quantize_activations(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let row = (group.y * groups.x + group.x) * (64u / LANES) + local / LANES;
  let lane = local % LANES;
  let at = min(row, params.rows - 1u) * params.input_quads;
  var largest = vec4f();
  for (var quad = lane; quad < params.input_quads; quad += LANES) { largest = max(largest, abs(regular(at, quad))); }
  let both = max(largest.xy, largest.zw);
  var peak = row_largest(max(both.x, both.y), lane, local).value;
  if (row >= params.rows) { return; }
  if (peak < 1e-30) { peak = 0.0; } // LARGEST / peak would overflow
  let steps = select(0.0, LARGEST / peak, peak > 0.0);
  for (var quad = lane; quad < params.input_quads; quad += LANES) {
    let whole = vec4i(round(regular(at, quad) * steps));
    let word = row * PLANES * params.input_quads + quad;
    if (PLANES == 1u) {
      q[word] = pack4xI8Clamp(whole);
    } else {
      let high = (whole + 128) >> vec4u(8u);
      q[word] = pack4xI8Clamp(high);
      q[word + params.input_quads] = pack4xI8Clamp(whole - high * 256);
    }
  }
  let count = outliers[0];
  for (var c = lane; c < params.limit; c += LANES) {
    var value = 0.0;
    if (c < count) {
      let column = outliers[1u + c];
      value = x[at + column / 4u][column % 4u];
    }
    outlier_x[row * params.limit + c] = value;
  }
  if (lane == 0u) { scale[row] = peak / LARGEST; }
}
