struct Params { length: u32, threads: u32, shift: u32, carry: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // (length)
@group(0) @binding(2) var<storage, read_write> partials: array<f32>; // (threads)

@compute @workgroup_size(64)
fn sum_squares(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.threads) { return; }
  var sum = 0.0;
  if (params.carry != 0u) { sum = partials[id.x]; }
  for (var i = (id.x + params.shift) % params.threads; i < params.length; i += params.threads) { sum += x[i] * x[i]; }
  partials[id.x] = sum;
}
