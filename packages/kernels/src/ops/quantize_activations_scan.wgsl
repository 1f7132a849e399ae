// columns[k], cleared before, ← the largest |x[m, k]| over the rows m where it is above the threshold, as float bits: for
// floats that are not negative the order of the bits is the order of the values (a NaN is the largest of all). A thread
// reads DEPTH quads; the write is rare, so x is read at the speed of memory.
struct Params { quads: u32, input_quads: u32, threshold: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;                      // (rows, inputs / 4)
@group(0) @binding(2) var<storage, read_write> columns: array<atomic<u32>>;    // (inputs)
const DEPTH = 4u;

@compute @workgroup_size(64)
fn quantize_activations_scan(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let threshold = bitcast<u32>(params.threshold);
  let first = (group.y * groups.x + group.x) * 64u * DEPTH + local;
  for (var d = 0u; d < DEPTH; d++) {
    let quad = first + d * 64u;
    if (quad >= params.quads) { return; }
    let size = bitcast<vec4u>(x[quad]) & vec4u(0x7fffffffu);
    if (any(size > vec4u(threshold))) {
      let column = quad % params.input_quads * 4u;
      for (var c = 0u; c < 4u; c++) {
        if (size[c] > threshold) { atomicMax(&columns[column + c], size[c]); }
      }
    }
  }
}
