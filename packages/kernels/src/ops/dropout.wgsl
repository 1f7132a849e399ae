// Counter-based dropout: element e of the site `salt` is kept when a hash of (seed, salt, e) is at or above
// probability · 2³². Forward and backward ask the same question, so no mask is stored. The mixing is lowbias32
// (Chris Wellons, "Prospecting for hash functions", public domain).
fn dropout_mix(value: u32) -> u32 {
  var h = value;
  h = (h ^ (h >> 16)) * 0x7feb352du;
  h = (h ^ (h >> 15)) * 0x846ca68bu;
  return h ^ (h >> 16);
}

/** One key for a whole dispatch. */
fn dropout_key(seed: u32, salt: u32) -> u32 { return dropout_mix(seed ^ dropout_mix(salt + 0x9e3779b9u)); }

/** What to multiply the element by: 0, or 1 / (1 − probability). */
fn dropout_factor(key: u32, element: u32, threshold: u32, inverse_keep: f32) -> f32 {
  return select(0.0, inverse_keep, dropout_mix(element ^ key) >= threshold);
}
