// dx[m, k] (+)= Σ_n dy[m, n] · weight_scale(n) · w[n, k], TILE_ROWS rows × one quad of inputs a thread, straight from
// storage. Neighbouring lanes take neighbouring quads and the row depends on the workgroup alone, so that loads of dy are
// the same for a whole workgroup.
struct Params { rows: u32, accumulate: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;           // (rows, outputs)
@group(0) @binding(2) var<storage, read_write> dx: array<vec4f>;   // (rows, inputs / 4)
override INPUT_QUADS: u32;
override OUTPUTS: u32;

@compute @workgroup_size(LANES)
fn matmul_backward_tile(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first_row = group.y * TILE_ROWS;
  let quad = group.x * LANES + lane;
  var dy_at: array<u32, TILE_ROWS>;
  for (var i = 0u; i < TILE_ROWS; i++) { dy_at[i] = min(first_row + i, params.rows - 1) * OUTPUTS; }
  if (quad >= INPUT_QUADS) { return; }
  var sums: array<vec4f, TILE_ROWS>;
  for (var n = 0u; n < OUTPUTS; n++) {
    let b = weights(n * INPUT_QUADS + quad);
    let s = weight_scale(n);
    for (var i = 0u; i < TILE_ROWS; i++) { sums[i] = fma(vec4f(dy[dy_at[i] + n] * s), b, sums[i]); }
  }
  for (var i = 0u; i < TILE_ROWS; i++) {
    if (first_row + i < params.rows) {
      let at = (first_row + i) * INPUT_QUADS + quad;
      if (params.accumulate != 0) { dx[at] += sums[i]; } else { dx[at] = sums[i]; }
    }
  }
}
