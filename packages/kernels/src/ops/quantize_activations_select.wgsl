// The at most `limit` columns with the largest |x| above the threshold, the lower column first among equals. One workgroup
// of LANES threads; what the scan left in `columns` is replaced by 1 for those columns and 0 for the others.
struct Params { inputs: u32, limit: u32, threshold: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> columns: array<u32>;    // (inputs)
@group(0) @binding(2) var<storage, read_write> outliers: array<u32>;   // (1 + limit): count, columns
override LANES: u32 = 1u;
struct Candidate { size: u32, column: u32 }
var<workgroup> lanes: array<Candidate, LANES>;

fn larger(a: Candidate, b: Candidate) -> bool { return a.size > b.size || (a.size == b.size && a.column < b.column); }

@compute @workgroup_size(LANES)
fn quantize_activations_select(@builtin(local_invocation_index) local: u32) {
  let threshold = bitcast<u32>(params.threshold);
  let none = Candidate(0u, 0xffffffffu);
  var last = Candidate(0xffffffffu, 0u); // taken last
  var count = 0u;
  for (var turn = 0u; turn < params.limit; turn++) {
    var best = none;
    for (var k = local; k < params.inputs; k += LANES) {
      let candidate = Candidate(columns[k], k);
      if (candidate.size > threshold && larger(candidate, best) && larger(last, candidate)) { best = candidate; }
    }
    lanes[local] = best;
    for (var stride = LANES / 2u; stride > 0u; stride /= 2u) {
      workgroupBarrier();
      if (local < stride && larger(lanes[local + stride], lanes[local])) { lanes[local] = lanes[local + stride]; }
    }
    last = workgroupUniformLoad(&lanes[0]);
    if (last.size == 0u) { break; } // and every candidate has been taken
    if (local == 0u) { outliers[1u + turn] = last.column; }
    count += 1u;
  }
  if (local == 0u) { outliers[0] = count; }
  for (var k = local; k < params.inputs; k += LANES) {
    let candidate = Candidate(columns[k], k);
    columns[k] = u32(candidate.size > threshold && !larger(last, candidate));
  }
}
