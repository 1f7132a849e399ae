// Reductions over the LANES threads that share a row. A workgroup of 64 threads holds 64 / LANES rows.
// LANES = 1 (a thread a row) needs no barrier and wins on CPU rasterisers; LANES = 64 wins on GPUs.
override LANES: u32 = 1u;
var<workgroup> lane_values: array<f32, 64>;
var<workgroup> lane_indices: array<u32, 64>;

fn row_sum(value: f32, local: u32) -> f32 {
  if (LANES == 1u) { return value; }
  lane_values[local] = value;
  for (var stride = LANES / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (local % LANES < stride) { lane_values[local] += lane_values[local + stride]; }
  }
  workgroupBarrier();
  let total = lane_values[local - local % LANES];
  workgroupBarrier();
  return total;
}

struct Largest { value: f32, index: u32 }

// The largest value of the row and its lowest index.
fn row_largest(value: f32, index: u32, local: u32) -> Largest {
  if (LANES == 1u) { return Largest(value, index); }
  lane_values[local] = value;
  lane_indices[local] = index;
  for (var stride = LANES / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (local % LANES < stride) {
      let other = lane_values[local + stride];
      let lower = lane_indices[local + stride] < lane_indices[local];
      if (other > lane_values[local] || (other == lane_values[local] && lower)) {
        lane_values[local] = other;
        lane_indices[local] = lane_indices[local + stride];
      }
    }
  }
  workgroupBarrier();
  let first = local - local % LANES;
  let largest = Largest(lane_values[first], lane_indices[first]);
  workgroupBarrier();
  return largest;
}
