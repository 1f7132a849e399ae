struct Params { count: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partials: array<f32>; // (count)
@group(0) @binding(2) var<storage, read_write> total: array<f32>; // (1)

var<workgroup> sums: array<f32, 64>;

@compute @workgroup_size(64)
fn sum_partials(@builtin(local_invocation_index) local: u32) {
  var sum = 0.0;
  for (var i = local; i < params.count; i += 64u) { sum += partials[i]; }
  sums[local] = sum;
  for (var stride = 32u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (local < stride) { sums[local] += sums[local + stride]; }
  }
  if (local == 0u) { total[0] = sums[0]; }
}
