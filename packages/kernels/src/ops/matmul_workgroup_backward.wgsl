// A = dy with the weight scales folded in, B = weights, C = dx.
struct Params { rows: u32, input_quads: u32, outputs: u32, accumulate: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;         // (rows, outputs)
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;   // (rows, inputs)

fn depth() -> u32 { return params.outputs; }

/** Four elements of dy and one quad of the weights a thread; int8 becomes f32 here, once a tile. */
fn load(first_row: u32, first_column: u32, first: u32, lane: u32) {
  let n = first + lane % 16;
  var s = 0.0;
  if (n < params.outputs) { s = weight_scale(n); }
  // unroll
  for (var i = 0u; i < TILE; i++) {
    let row = lane / 16 + i * 16;
    var a = 0.0;
    if (first_row + row < params.rows && n < params.outputs) { a = s * dy[(first_row + row) * params.outputs + n]; }
    a_tile[(lane % 16) * STRIDE + row] = a;
  }
  let quad = first_column / 4 + lane % 16;
  var b = vec4f();
  if (first + lane / 16 < params.outputs && quad < params.input_quads) {
    b = weights((first + lane / 16) * params.input_quads + quad);
  }
  // unroll
  for (var c = 0u; c < TILE; c++) { b_tile[(lane / 16) * STRIDE + (lane % 16) * 4 + c] = b[c]; }
}

fn store(row: u32, column: u32, sum: f32) {
  let inputs = params.input_quads * 4;
  if (row < params.rows && column < inputs) {
    let at = row * inputs + column;
    if (params.accumulate != 0) { dx[at] += sum; } else { dx[at] = sum; }
  }
}
