/**
 * What every lane of four holds, each lane's own first: SwiftShader swaps lanes with one instruction and broadcasts one of
 * them with six.
 */
fn from_lanes(own: vec4f) -> array<vec4f, 4> {
  return array(own, quadSwapX(own), quadSwapY(own), quadSwapDiagonal(own));
}
/** Whose value stands at i in `from_lanes`. */
fn lane_handing(lane: u32, i: u32) -> u32 { return lane ^ i; }
