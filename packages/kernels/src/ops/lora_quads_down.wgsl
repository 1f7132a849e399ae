enable subgroups;
// lora_down for software adapters, inputs in multiples of 4; see matmul_lanes_forward for what a load costs there. Lane l
// loads quads of x of its own rows and the slice of its own ranks, which `from_lanes` (in a later part) hands to all lanes.
struct Params {
  rows: u32, inputs: u32, rank: u32,
  offset: u32, input_stride: u32, rank_stride: u32,
  scale: f32, salt: u32, threshold: u32, inverse_keep: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;       // (rows, inputs / 4)
@group(0) @binding(2) var<storage, read> adapter: array<f32>;
@group(0) @binding(3) var<storage, read_write> z: array<f32>;   // (rows, rank)
@group(0) @binding(4) var<storage, read> step: array<f32>;
override DROPOUT: bool = false;
override SEED_AT: u32 = 0;
alias Lanes = array<vec4f, LANES>;

@compute @workgroup_size(LANES)
fn lora_down(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  var key = 0u;
  if (DROPOUT) { key = dropout_key(bitcast<u32>(step[SEED_AT]), params.salt); }
  let first_row = group.x * ROWS * LANES + lane;
  let first_rank = group.y * RANK_GROUPS * LANES;
  let input_quads = params.inputs / 4;
  var x_at: array<u32, ROWS>;
  var a_at: array<u32, RANK_GROUPS>;
  // unroll
  for (var i = 0u; i < ROWS; i++) { x_at[i] = min(first_row + i * LANES, params.rows - 1) * input_quads; }
  // unroll
  for (var g = 0u; g < RANK_GROUPS; g++) {
    a_at[g] = params.offset + min(first_rank + g * LANES + lane, params.rank - 1) * params.rank_stride;
  }
  var sums: array<f32, ROWS * RANK_GROUPS * LANES>;
  for (var quad = 0u; quad < input_quads; quad++) {
    let k = quad * 4 * params.input_stride;
    var own: array<vec4f, RANK_GROUPS>;
    var a: array<Lanes, RANK_GROUPS>;
    // unroll
    for (var g = 0u; g < RANK_GROUPS; g++) {
      own[g] = vec4f(adapter[a_at[g] + k], adapter[a_at[g] + k + params.input_stride],
        adapter[a_at[g] + k + 2 * params.input_stride], adapter[a_at[g] + k + 3 * params.input_stride]);
      a[g] = from_lanes(own[g]);
    }
    // unroll
    for (var i = 0u; i < ROWS; i++) {
      let value = dropped(x[x_at[i] + quad], (x_at[i] + quad) * 4, key);
      // unroll
      for (var g = 0u; g < RANK_GROUPS; g++) {
        // unroll
        for (var l = 0u; l < LANES; l++) {
          let sum = sums[(i * RANK_GROUPS + g) * LANES + l];
          sums[(i * RANK_GROUPS + g) * LANES + l] =
            fma(value.w, a[g][l].w, fma(value.z, a[g][l].z, fma(value.y, a[g][l].y, fma(value.x, a[g][l].x, sum))));
        }
      }
    }
  }
  // unroll
  for (var i = 0u; i < ROWS; i++) {
    // unroll
    for (var g = 0u; g < RANK_GROUPS; g++) {
      // unroll
      for (var l = 0u; l < LANES; l++) {
        let row = first_row + i * LANES;
        let r = first_rank + g * LANES + lane_handing(lane, l);
        if (row < params.rows && r < params.rank) {
          z[row * params.rank + r] = params.scale * sums[(i * RANK_GROUPS + g) * LANES + l];
        }
      }
    }
  }
}
