/** What every lane of eight holds, in the order of the lanes. */
fn from_lanes(own: vec4f) -> array<vec4f, 8> {
  return array(subgroupBroadcast(own, 0u), subgroupBroadcast(own, 1u), subgroupBroadcast(own, 2u), subgroupBroadcast(own, 3u),
    subgroupBroadcast(own, 4u), subgroupBroadcast(own, 5u), subgroupBroadcast(own, 6u), subgroupBroadcast(own, 7u));
}
/** Whose value stands at i in `from_lanes`. */
fn lane_handing(lane: u32, i: u32) -> u32 { return i; }
