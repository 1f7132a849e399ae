// Equal segments of a row are contiguous, so both ends of one are found by halving. Positions count from the row's start.
fn segment_start(row0: u32, i: u32) -> u32 {
  let segment = segments[row0 + i];
  if (segments[row0] == segment) { return 0; }
  var low = 1u;
  var high = i;
  while (low < high) {
    let middle = (low + high) / 2;
    if (segments[row0 + middle] == segment) { high = middle; } else { low = middle + 1; }
  }
  return low;
}

// One past the last position of the segment of j.
fn segment_end(row0: u32, j: u32) -> u32 {
  let segment = segments[row0 + j];
  if (segments[row0 + params.seq - 1] == segment) { return params.seq; }
  var low = j;
  var high = params.seq - 2;
  while (low < high) {
    let middle = (low + high + 1) / 2;
    if (segments[row0 + middle] == segment) { low = middle; } else { high = middle - 1; }
  }
  return low + 1;
}
