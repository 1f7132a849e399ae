enable subgroups;
// lora_outer for software adapters, columns in multiples of 4; see lora_quads_down. Lane l loads quads of columns of its own
// and `narrow` of its own ranks, which `from_lanes` hands to all lanes. Rows past the end count as zero.
struct Params {
  rows: u32, columns: u32, rank: u32,
  offset: u32, column_stride: u32, rank_stride: u32,
  scale: f32, salt: u32, threshold: u32, inverse_keep: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> wide: array<vec4f>;      // (rows, columns / 4)
@group(0) @binding(2) var<storage, read> narrow: array<f32>;      // (rows, rank)
@group(0) @binding(3) var<storage, read_write> grad: array<f32>;
@group(0) @binding(4) var<storage, read> step: array<f32>;
override DROPOUT: bool = false;
override SEED_AT: u32 = 0;
alias Lanes = array<vec4f, LANES>;

@compute @workgroup_size(LANES)
fn lora_outer(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  var key = 0u;
  if (DROPOUT) { key = dropout_key(bitcast<u32>(step[SEED_AT]), params.salt); }
  let first_quad = group.x * LANES * TILE_QUADS + lane;
  let first_rank = group.y * RANK_GROUPS * LANES;
  let column_quads = params.columns / 4;
  var quad_at: array<u32, TILE_QUADS>;
  var r: array<u32, RANK_GROUPS>;
  // unroll
  for (var j = 0u; j < TILE_QUADS; j++) { quad_at[j] = min(first_quad + j * LANES, column_quads - 1); }
  // unroll
  for (var g = 0u; g < RANK_GROUPS; g++) { r[g] = min(first_rank + g * LANES + lane, params.rank - 1); }
  var sums: array<vec4f, RANK_GROUPS * LANES * TILE_QUADS>;
  for (var first = 0u; first < params.rows; first += QUAD) {
    var m: array<u32, QUAD>;
    var b: array<vec4f, QUAD * TILE_QUADS>;
    // unroll
    for (var q = 0u; q < QUAD; q++) {
      m[q] = min(first + q, params.rows - 1);
      // unroll
      for (var j = 0u; j < TILE_QUADS; j++) {
        b[q * TILE_QUADS + j] =
          dropped(wide[m[q] * column_quads + quad_at[j]], (m[q] * column_quads + quad_at[j]) * 4, key);
      }
    }
    let inside = select(vec4f(), vec4f(1), vec4u(first) + vec4u(0, 1, 2, 3) < vec4u(params.rows));
    // unroll
    for (var g = 0u; g < RANK_GROUPS; g++) {
      let own = inside * vec4f(narrow[m[0u] * params.rank + r[g]], narrow[m[1u] * params.rank + r[g]],
        narrow[m[2u] * params.rank + r[g]], narrow[m[3u] * params.rank + r[g]]);
      let a = from_lanes(own);
      // unroll
      for (var i = 0u; i < LANES; i++) {
        // unroll
        for (var j = 0u; j < TILE_QUADS; j++) {
          let sum = sums[(g * LANES + i) * TILE_QUADS + j];
          sums[(g * LANES + i) * TILE_QUADS + j] =
            fma(vec4f(a[i].w), b[3 * TILE_QUADS + j], fma(vec4f(a[i].z), b[2 * TILE_QUADS + j],
            fma(vec4f(a[i].y), b[TILE_QUADS + j], fma(vec4f(a[i].x), b[j], sum))));
        }
      }
    }
  }
  // unroll
  for (var j = 0u; j < TILE_QUADS; j++) {
    // unroll
    for (var i = 0u; i < TILE_RANKS; i++) {
      let rank = first_rank + i / LANES * LANES + lane_handing(lane, i % LANES);
      if (first_quad + j * LANES < column_quads && rank < params.rank) {
        let sum = params.scale * sums[i * TILE_QUADS + j];
        let at = params.offset + (first_quad + j * LANES) * 4 * params.column_stride + rank * params.rank_stride;
        grad[at] += sum.x;
        grad[at + params.column_stride] += sum.y;
        grad[at + 2 * params.column_stride] += sum.z;
        grad[at + 3 * params.column_stride] += sum.w;
      }
    }
  }
}
