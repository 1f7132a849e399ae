enable subgroups;
// dx[m, k] (+)= Σ_n dy[m, n] · weight_scale(n) · w[n, k] for software adapters; see matmul_lanes_forward. Lane l loads the
// quads of outputs of its own rows, `from_lanes` (in the next part) hands them to all lanes, and each lane sums TILE_CHUNKS
// chunks of inputs in TILE_ROWS rows over TURN quads of outputs a turn. Outputs past the end count as zero.
struct Params { rows: u32, input_quads: u32, outputs: u32, accumulate: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;           // (rows, outputs)
@group(0) @binding(2) var<storage, read_write> dx: array<vec4f>;   // (rows, inputs / 4)
const TILE_QUADS = TILE_CHUNKS * CHUNK_QUADS;
alias Quads = array<vec4f, CHUNK_QUADS>;
alias Rows = array<vec4f, LANES>;

@compute @workgroup_size(LANES)
fn matmul_lanes_backward(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let first_row = group.y * TILE_ROWS;
  let first_chunk = group.x * LANES * TILE_CHUNKS + lane;
  let input_chunks = params.input_quads / CHUNK_QUADS;
  var dy_at: array<u32, ROW_GROUPS>;
  var chunk_at: array<u32, TILE_CHUNKS>;
  // unroll
  for (var h = 0u; h < ROW_GROUPS; h++) {
    dy_at[h] = min(first_row + h * LANES + lane, params.rows - 1) * params.outputs;
  }
  // unroll
  for (var j = 0u; j < TILE_CHUNKS; j++) { chunk_at[j] = min(first_chunk + j * LANES, input_chunks - 1); }
  var sums: array<vec4f, TILE_ROWS * TILE_QUADS>;
  for (var first = 0u; first < params.outputs; first += TURN_OUTPUTS) {
    var n: array<u32, TURN_OUTPUTS>;
    var s: array<f32, TURN_OUTPUTS>;
    var b: array<Quads, TURN_OUTPUTS * TILE_CHUNKS>;
    // unroll
    for (var t = 0u; t < TURN; t++) {
      let own_output = first + t * QUAD + lane % QUAD;
      let own_scale = select(0.0, weight_scale(min(own_output, params.outputs - 1)), own_output < params.outputs);
      // unroll
      for (var l = 0u; l < QUAD; l++) { s[t * QUAD + l] = subgroupBroadcast(own_scale, l); }
    }
    // unroll
    for (var o = 0u; o < TURN_OUTPUTS; o++) {
      n[o] = min(first + o, params.outputs - 1);
      // unroll
      for (var j = 0u; j < TILE_CHUNKS; j++) { b[o * TILE_CHUNKS + j] = quads_of(w[n[o] * input_chunks + chunk_at[j]]); }
    }
    // unroll
    for (var h = 0u; h < ROW_GROUPS; h++) {
      var own: array<vec4f, TURN>;
      var a: array<Rows, TURN>;
      // unroll
      for (var t = 0u; t < TURN; t++) {
        own[t] = vec4f(s[t * QUAD], s[t * QUAD + 1], s[t * QUAD + 2], s[t * QUAD + 3]) * vec4f(dy[dy_at[h] + n[t * QUAD]],
          dy[dy_at[h] + n[t * QUAD + 1]], dy[dy_at[h] + n[t * QUAD + 2]], dy[dy_at[h] + n[t * QUAD + 3]]);
        a[t] = from_lanes(own[t]);
      }
      // unroll
      for (var i = 0u; i < LANES; i++) {
        // unroll
        for (var j = 0u; j < TILE_CHUNKS; j++) {
          // unroll
          for (var q = 0u; q < CHUNK_QUADS; q++) {
            var sum: array<vec4f, TURN + 1>;
            sum[0u] = sums[(h * LANES + i) * TILE_QUADS + j * CHUNK_QUADS + q];
            // unroll
            for (var t = 0u; t < TURN; t++) {
              sum[t + 1] = fma(vec4f(a[t][i].w), b[(t * QUAD + 3) * TILE_CHUNKS + j][q],
                fma(vec4f(a[t][i].z), b[(t * QUAD + 2) * TILE_CHUNKS + j][q],
                fma(vec4f(a[t][i].y), b[(t * QUAD + 1) * TILE_CHUNKS + j][q],
                fma(vec4f(a[t][i].x), b[t * QUAD * TILE_CHUNKS + j][q], sum[t]))));
            }
            sums[(h * LANES + i) * TILE_QUADS + j * CHUNK_QUADS + q] = sum[TURN];
          }
        }
      }
    }
  }
  // unroll
  for (var j = 0u; j < TILE_CHUNKS; j++) {
    if (first_chunk + j * LANES < input_chunks) {
      // unroll
      for (var i = 0u; i < TILE_ROWS; i++) {
        let row = first_row + i / LANES * LANES + lane_handing(lane, i % LANES);
        if (row < params.rows) {
          // unroll
          for (var q = 0u; q < CHUNK_QUADS; q++) {
            let at = row * params.input_quads + (first_chunk + j * LANES) * CHUNK_QUADS + q;
            let before = select(vec4f(), dx[at], params.accumulate != 0);
            dx[at] = before + sums[i * TILE_QUADS + j * CHUNK_QUADS + q];
          }
        }
      }
    }
  }
}
