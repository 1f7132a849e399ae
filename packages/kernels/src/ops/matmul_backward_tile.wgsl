// dx[m, k] (+)= Σ_n dy[m, n] · weight_scale(n) · w[n, k], TILE_ROWS rows × TILE_QUADS quads of inputs a thread, straight
// from storage. Neighbouring lanes take neighbouring quads and the row depends on the workgroup alone, so that loads of
// dy are the same for a whole workgroup.
struct Params { rows: u32, input_quads: u32, outputs: u32, accumulate: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;           // (rows, outputs)
@group(0) @binding(2) var<storage, read_write> dx: array<vec4f>;   // (rows, inputs / 4)

@compute @workgroup_size(LANES)
fn matmul_backward_tile(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first_row = group.y * TILE_ROWS;
  let first_quad = group.x * LANES * TILE_QUADS + lane;
  var dy_at: array<u32, TILE_ROWS>;
  var quad_at: array<u32, TILE_QUADS>;
  // unroll
  for (var i = 0u; i < TILE_ROWS; i++) { dy_at[i] = min(first_row + i, params.rows - 1) * params.outputs; }
  // unroll
  for (var j = 0u; j < TILE_QUADS; j++) { quad_at[j] = min(first_quad + j * LANES, params.input_quads - 1); }
  var sums: array<vec4f, TILE_ROWS * TILE_QUADS>;
  // DEPTH outputs a turn, so that a sum stays in a register for DEPTH additions; past the end they count as zero.
  for (var first = 0u; first < params.outputs; first += DEPTH) {
    var n: array<u32, DEPTH>;
    var b: array<vec4f, DEPTH * TILE_QUADS>;
    // unroll
    for (var d = 0u; d < DEPTH; d++) {
      n[d] = min(first + d, params.outputs - 1);
      let s = select(0.0, weight_scale(n[d]), first + d < params.outputs);
      // unroll
      for (var j = 0u; j < TILE_QUADS; j++) {
        b[d * TILE_QUADS + j] = s * weights(n[d] * params.input_quads + quad_at[j]);
      }
    }
    // unroll
    for (var i = 0u; i < TILE_ROWS; i++) {
      var a: array<f32, DEPTH>;
      // unroll
      for (var d = 0u; d < DEPTH; d++) { a[d] = dy[dy_at[i] + n[d]]; }
      // unroll
      for (var j = 0u; j < TILE_QUADS; j++) {
        var sum = sums[i * TILE_QUADS + j];
        // unroll
        for (var d = 0u; d < DEPTH; d++) { sum = fma(vec4f(a[d]), b[d * TILE_QUADS + j], sum); }
        sums[i * TILE_QUADS + j] = sum;
      }
    }
  }
  // unroll
  for (var i = 0u; i < TILE_ROWS; i++) {
    // unroll
    for (var j = 0u; j < TILE_QUADS; j++) {
      if (first_row + i < params.rows && first_quad + j * LANES < params.input_quads) {
        let at = (first_row + i) * params.input_quads + first_quad + j * LANES;
        if (params.accumulate != 0) {
          dx[at] += sums[i * TILE_QUADS + j];
        } else {
          dx[at] = sums[i * TILE_QUADS + j];
        }
      }
    }
  }
}
