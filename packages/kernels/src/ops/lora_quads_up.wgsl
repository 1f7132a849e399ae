enable subgroups;
// lora_up for software adapters, outputs in multiples of 4; see lora_quads_down. Lane l loads z of its own rows, which
// `from_lanes` hands to all lanes, and takes TILE_QUADS quads of columns. Ranks past the end count as zero.
struct Params {
  rows: u32, outputs: u32, rank: u32,
  offset: u32, output_stride: u32, rank_stride: u32,
  scale: f32, salt: u32, threshold: u32, inverse_keep: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> z: array<f32>;           // (rows, rank)
@group(0) @binding(2) var<storage, read> adapter: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;   // (rows, outputs / 4)
@group(0) @binding(4) var<storage, read> step: array<f32>;
override DROPOUT: bool = false;
override SEED_AT: u32 = 0;
alias Lanes = array<vec4f, LANES>;

@compute @workgroup_size(LANES)
fn lora_up(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  var key = 0u;
  if (DROPOUT) { key = dropout_key(bitcast<u32>(step[SEED_AT]), params.salt); }
  let first_row = group.y * TILE_ROWS;
  let first_quad = group.x * LANES * TILE_QUADS + lane;
  let output_quads = params.outputs / 4;
  var z_at: array<u32, ROW_GROUPS>;
  var b_at: array<u32, TILE_QUADS>;
  // unroll
  for (var h = 0u; h < ROW_GROUPS; h++) {
    z_at[h] = min(first_row + h * LANES + lane, params.rows - 1) * params.rank;
  }
  // unroll
  for (var j = 0u; j < TILE_QUADS; j++) {
    b_at[j] = params.offset + min(first_quad + j * LANES, output_quads - 1) * 4 * params.output_stride;
  }
  var sums: array<vec4f, TILE_ROWS * TILE_QUADS>;
  for (var first = 0u; first < params.rank; first += QUAD) {
    var r: array<u32, QUAD>;
    var at: array<u32, QUAD * TILE_QUADS>;
    var b: array<vec4f, QUAD * TILE_QUADS>;
    // unroll
    for (var q = 0u; q < QUAD; q++) {
      r[q] = min(first + q, params.rank - 1);
      // unroll
      for (var j = 0u; j < TILE_QUADS; j++) {
        at[q * TILE_QUADS + j] = b_at[j] + r[q] * params.rank_stride;
        b[q * TILE_QUADS + j] = vec4f(
          adapter[at[q * TILE_QUADS + j]], adapter[at[q * TILE_QUADS + j] + params.output_stride],
          adapter[at[q * TILE_QUADS + j] + 2 * params.output_stride],
          adapter[at[q * TILE_QUADS + j] + 3 * params.output_stride]);
      }
    }
    let scales = select(vec4f(), vec4f(params.scale), vec4u(first) + vec4u(0, 1, 2, 3) < vec4u(params.rank));
    // unroll
    for (var h = 0u; h < ROW_GROUPS; h++) {
      let own = scales * vec4f(z[z_at[h] + r[0u]], z[z_at[h] + r[1u]], z[z_at[h] + r[2u]], z[z_at[h] + r[3u]]);
      let a = from_lanes(own);
      // unroll
      for (var i = 0u; i < LANES; i++) {
        // unroll
        for (var j = 0u; j < TILE_QUADS; j++) {
          let sum = sums[(h * LANES + i) * TILE_QUADS + j];
          sums[(h * LANES + i) * TILE_QUADS + j] =
            fma(vec4f(a[i].w), b[3 * TILE_QUADS + j], fma(vec4f(a[i].z), b[2 * TILE_QUADS + j],
            fma(vec4f(a[i].y), b[TILE_QUADS + j], fma(vec4f(a[i].x), b[j], sum))));
        }
      }
    }
  }
  // unroll
  for (var j = 0u; j < TILE_QUADS; j++) {
    if (first_quad + j * LANES < output_quads) {
      // unroll
      for (var i = 0u; i < TILE_ROWS; i++) {
        let row = first_row + i / LANES * LANES + lane_handing(lane, i % LANES);
        if (row < params.rows) {
          let quad = row * output_quads + first_quad + j * LANES;
          y[quad] += dropped(sums[i * TILE_QUADS + j], quad * 4, key);
        }
      }
    }
  }
}
