// A = x, B = transposed weights, C = y.
struct Params { rows: u32, input_quads: u32, outputs: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;       // (rows, inputs / 4)
@group(0) @binding(2) var<storage, read_write> y: array<f32>;   // (rows, outputs)

fn depth() -> u32 { return params.input_quads * 4u; }

/** A slab of x and one of the weights, both with the inputs next to each other; f16 from here on. */
fn load(first_row: u32, first_column: u32, first: u32, thread: u32) {
  for (var i = thread; i < SIDE * DEPTH / 4u; i += THREADS) {
    let at = i / (DEPTH / 4u);
    let quad = first / 4u + i % (DEPTH / 4u);
    var a = vec4<f16>();
    var b = vec4<f16>();
    if (quad < params.input_quads) {
      if (first_row + at < params.rows) {
        a = vec4<f16>(clamp(x[(first_row + at) * params.input_quads + quad], vec4f(-65504.0), vec4f(65504.0)));
      }
      if (first_column + at < params.outputs) { b = weights((first_column + at) * params.input_quads + quad); }
    }
    for (var c = 0u; c < 4u; c++) {
      a_tile[at * STRIDE + i % (DEPTH / 4u) * 4u + c] = a[c];
      b_tile[at * STRIDE + i % (DEPTH / 4u) * 4u + c] = b[c];
    }
  }
}

fn store(row: u32, column: u32, sum: f32) {
  if (row < params.rows && column < params.outputs) { y[row * params.outputs + column] = sum * weight_scale(column); }
}
