enable subgroups;
// y[m, n] = weight_scale(n) · Σ_k x[m, k] · w[n, k] for software adapters, where the load of a vector costs as much as 30
// to 90 multiply-adds, also when all its lanes load the same. So a workgroup is one subgroup: lane l loads the quad of its
// own row, one load for LANES rows, and the turn hands it to all lanes; each lane sums its own TILE_COLUMNS columns, over
// DEPTH chunks of inputs a turn.
struct Params { rows: u32, input_quads: u32, outputs: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;       // (rows, inputs / 4)
@group(0) @binding(2) var<storage, read_write> y: array<f32>;   // (rows, outputs)
alias Quads = array<vec4f, CHUNK_QUADS>;
alias Rows = array<vec4f, LANES>;

@compute @workgroup_size(LANES)
fn matmul_lanes_forward(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let first_row = group.y * TILE_ROWS;
  let first_column = group.x * LANES * TILE_COLUMNS + lane;
  let input_chunks = params.input_quads / CHUNK_QUADS;
  var x_at: array<u32, ROW_GROUPS>;
  var w_at: array<u32, TILE_COLUMNS>;
  // unroll
  for (var h = 0u; h < ROW_GROUPS; h++) {
    x_at[h] = min(first_row + h * LANES + lane, params.rows - 1) * params.input_quads;
  }
  // unroll
  for (var j = 0u; j < TILE_COLUMNS; j++) { w_at[j] = min(first_column + j * LANES, params.outputs - 1) * input_chunks; }
  var sums: array<f32, TILE_ROWS * TILE_COLUMNS>;
  for (var first = 0u; first < input_chunks; first += DEPTH) {
    // turn: sums += DEPTH chunks of inputs times weights
  }
  // unroll
  for (var j = 0u; j < TILE_COLUMNS; j++) {
    let column = first_column + j * LANES;
    if (column < params.outputs) {
      let s = weight_scale(column);
      // unroll
      for (var i = 0u; i < TILE_ROWS; i++) {
        let row = first_row + i / LANES * LANES + lane_handing(lane, i % LANES);
        if (row < params.rows) {
          y[row * params.outputs + column] = sums[i * TILE_COLUMNS + j] * s;
        }
      }
    }
  }
}
