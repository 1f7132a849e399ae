// A = x, B = transposed weights, C = y.
struct Params { rows: u32, input_quads: u32, outputs: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;       // (rows, inputs / 4)
@group(0) @binding(2) var<storage, read_write> y: array<f32>;   // (rows, outputs)

fn depth() -> u32 { return params.input_quads * 4; }

/** One quad of x and one of the weights a thread, transposed; int8 becomes f32 here, once a tile. */
fn load(first_row: u32, first_column: u32, first: u32, lane: u32) {
  let at = lane / 4;
  let quad = first / 4 + lane % 4;
  let to = (lane % 4) * 4 * STRIDE + at;
  var a = vec4f();
  var b = vec4f();
  if (quad < params.input_quads) {
    if (first_row + at < params.rows) { a = x[(first_row + at) * params.input_quads + quad]; }
    if (first_column + at < params.outputs) { b = weights((first_column + at) * params.input_quads + quad); }
  }
  // unroll
  for (var c = 0u; c < TILE; c++) {
    a_tile[to + c * STRIDE] = a[c];
    b_tile[to + c * STRIDE] = b[c];
  }
}

fn store(row: u32, column: u32, sum: f32) {
  if (row < params.rows && column < params.outputs) { y[row * params.outputs + column] = sum * weight_scale(column); }
}
