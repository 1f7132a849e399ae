// exponent[m]: the power of two that brings the largest |dy[m, n] · weight_scale(n)| of a row to between 2¹⁴ and 2¹⁵, just
// below f16's largest number. LANES threads share a row.
struct Params { rows: u32, outputs: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;               // (rows, outputs)
@group(0) @binding(2) var<storage, read_write> exponent: array<f32>;   // (rows)

@compute @workgroup_size(64)
fn matmul_f16_exponent(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let row = (group.y * groups.x + group.x) * (64u / LANES) + local / LANES;
  let lane = local % LANES;
  let at = min(row, params.rows - 1u) * params.outputs;
  var largest = 0.0;
  for (var n = lane; n < params.outputs; n += LANES) { largest = max(largest, abs(dy[at + n] * weight_scale(n))); }
  let peak = row_largest(largest, lane, local).value;
  if (row >= params.rows || lane != 0u) { return; }
  exponent[row] = 0.0;
  if (peak > 0.0) { exponent[row] = f32(clamp(15 - frexp(peak).exp, -100, 100)); }
}
