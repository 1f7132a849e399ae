// A = dy with the weight scales folded in and each row brought into f16's range by a power of two, B = weights, C = dx.
struct Params { rows: u32, input_quads: u32, outputs: u32, accumulate: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;         // (rows, outputs)
@group(0) @binding(2) var<storage, read> exponent: array<f32>;   // (rows), whole numbers
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;   // (rows, inputs)

fn depth() -> u32 { return params.outputs; }

/** A slab of dy and one of the weights, both with the outputs next to each other; f16 from here on. */
fn load(first_row: u32, first_column: u32, first: u32, thread: u32) {
  for (var i = thread; i < SIDE * DEPTH; i += THREADS) {
    let row = first_row + i / DEPTH;
    let n = first + i % DEPTH;
    var a = 0.0;
    if (row < params.rows && n < params.outputs) {
      a = ldexp(dy[row * params.outputs + n] * weight_scale(n), i32(exponent[row]));
    }
    a_tile[i / DEPTH * STRIDE + i % DEPTH] = f16(a);
  }
  for (var i = thread; i < SIDE / 4u * DEPTH; i += THREADS) {
    let quad = first_column / 4u + i % (SIDE / 4u);
    let d = i / (SIDE / 4u);
    var b = vec4<f16>();
    if (first + d < params.outputs && quad < params.input_quads) { b = weights((first + d) * params.input_quads + quad); }
    for (var c = 0u; c < 4u; c++) { b_tile[(i % (SIDE / 4u) * 4u + c) * STRIDE + d] = b[c]; }
  }
}

fn store(row: u32, column: u32, sum: f32) {
  let inputs = params.input_quads * 4u;
  if (row < params.rows && column < inputs) {
    let at = row * inputs + column;
    let value = ldexp(sum, -i32(exponent[row]));
    if (params.accumulate != 0u) { dx[at] += value; } else { dx[at] = value; }
  }
}
