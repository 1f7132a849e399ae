struct Params { rows: u32, heads: u32, head_dim: u32, direction: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>; // (rows, heads · head_dim), in place
@group(0) @binding(2) var<storage, read> positions: array<u32>; // (rows)
@group(0) @binding(3) var<storage, read> inverse_frequency: array<f32>; // (head_dim / 2)

// WGSL promises sin and cos only to 2⁻¹¹ and only within ±π, which would show in the gradients. Three-part reduction
// to |r| ≤ π/4 and Taylor polynomials err by about 1e-7 below an angle of 8192 and by 2e-6 up to 100 000.
fn cos_sin(angle: f32) -> vec2f {
  let turns = round(angle * 0.63661977236758134); // quarter turns, 2/π
  let r = ((angle - turns * 1.5703125) - turns * 4.837512969970703125e-4) - turns * 7.54978995489188216e-8;
  let r2 = r * r;
  let s = r + r * r2 * (-1.6666667e-1 + r2 * (8.3333333e-3 + r2 * (-1.9841270e-4 + r2 * 2.7557319e-6)));
  let c = 1.0 + r2 * (-0.5 + r2 * (4.1666667e-2 + r2 * (-1.3888889e-3 + r2 * (2.4801587e-5 - r2 * 2.7557319e-7))));
  switch (u32(turns) & 3u) {
    case 0u: { return vec2f(c, s); }
    case 1u: { return vec2f(-s, c); }
    case 2u: { return vec2f(-c, -s); }
    default: { return vec2f(s, -c); }
  }
}

@compute @workgroup_size(64)
fn rope(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  // One thread turns the same pair (d, d + half) of every head of one row, so the angle is computed once.
  let half = params.head_dim / 2u;
  let index = (group.y * groups.x + group.x) * 64u + local;
  if (index >= params.rows * half) { return; }
  let row = index / half;
  let d = index % half;
  let turn = cos_sin(f32(positions[row]) * inverse_frequency[d]);
  let s = turn.y * params.direction;
  var first = row * params.heads * params.head_dim + d;
  for (var head = 0u; head < params.heads; head++) {
    let a = x[first];
    let b = x[first + half];
    x[first] = a * turn.x - b * s;
    x[first + half] = b * turn.x + a * s;
    first += params.head_dim;
  }
}
