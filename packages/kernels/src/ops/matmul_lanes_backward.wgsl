enable subgroups;
// dx[m, k] (+)= Σ_n dy[m, n] · weight_scale(n) · w[n, k] for software adapters; see matmul_lanes_forward. LANES outputs a
// turn: lane l loads dy and the scale of output l, and broadcasts hand them to all lanes, each of which sums TILE_CHUNKS
// chunks of inputs in TILE_ROWS rows. Outputs past the end count as zero.
struct Params { rows: u32, input_quads: u32, outputs: u32, accumulate: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;           // (rows, outputs)
@group(0) @binding(2) var<storage, read_write> dx: array<vec4f>;   // (rows, inputs / 4)
const TILE_QUADS = TILE_CHUNKS * CHUNK_QUADS;
alias Quads = array<vec4f, CHUNK_QUADS>;

@compute @workgroup_size(LANES)
fn matmul_lanes_backward(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let first_row = group.y * TILE_ROWS;
  let first_chunk = group.x * LANES * TILE_CHUNKS + lane;
  let input_chunks = params.input_quads / CHUNK_QUADS;
  var dy_at: array<u32, TILE_ROWS>;
  var chunk_at: array<u32, TILE_CHUNKS>;
  // unroll
  for (var i = 0u; i < TILE_ROWS; i++) { dy_at[i] = min(first_row + i, params.rows - 1) * params.outputs; }
  // unroll
  for (var j = 0u; j < TILE_CHUNKS; j++) { chunk_at[j] = min(first_chunk + j * LANES, input_chunks - 1); }
  var sums: array<vec4f, TILE_ROWS * TILE_QUADS>;
  for (var first = 0u; first < params.outputs; first += LANES) {
    let n = min(first + lane, params.outputs - 1);
    let s = select(0.0, weight_scale(n), first + lane < params.outputs);
    var w_at: array<u32, LANES>;
    var b: array<Quads, LANES * TILE_CHUNKS>;
    // unroll
    for (var l = 0u; l < LANES; l++) {
      w_at[l] = min(first + l, params.outputs - 1) * input_chunks;
      // unroll
      for (var j = 0u; j < TILE_CHUNKS; j++) { b[l * TILE_CHUNKS + j] = quads_of(w[w_at[l] + chunk_at[j]]); }
    }
    // unroll
    for (var i = 0u; i < TILE_ROWS; i++) {
      let own = s * dy[dy_at[i] + n];
      var a: array<vec4f, LANES>;
      // unroll
      for (var l = 0u; l < LANES; l++) { a[l] = vec4f(subgroupBroadcast(own, l)); }
      // unroll
      for (var j = 0u; j < TILE_CHUNKS; j++) {
        // unroll
        for (var q = 0u; q < CHUNK_QUADS; q++) {
          var sum: array<vec4f, LANES + 1>;
          sum[0u] = sums[i * TILE_QUADS + j * CHUNK_QUADS + q];
          // unroll
          for (var l = 0u; l < LANES; l++) { sum[l + 1] = fma(a[l], b[l * TILE_CHUNKS + j][q], sum[l]); }
          sums[i * TILE_QUADS + j * CHUNK_QUADS + q] = sum[LANES];
        }
      }
    }
  }
  // unroll
  for (var j = 0u; j < TILE_CHUNKS; j++) {
    if (first_chunk + j * LANES < input_chunks) {
      // unroll
      for (var i = 0u; i < TILE_ROWS; i++) {
        if (first_row + i < params.rows) {
          // unroll
          for (var q = 0u; q < CHUNK_QUADS; q++) {
            let at = (first_row + i) * params.input_quads + (first_chunk + j * LANES) * CHUNK_QUADS + q;
            let sum = sums[i * TILE_QUADS + j * CHUNK_QUADS + q];
            if (params.accumulate != 0) { dx[at] += sum; } else { dx[at] = sum; }
          }
        }
      }
    }
  }
}
