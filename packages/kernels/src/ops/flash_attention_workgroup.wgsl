// Tiles of 64 rows × 32 others in 256 threads: thread (row, column) owns rows 16 apart from `row`, others and elements of
// the head 16 apart from `column`. 15 KiB of workgroup memory.
const ROW_STRIDE = 68u;    // 64, padded against bank conflicts of the transposing stores
const OTHER_STRIDE = 36u;
const SCORE_STRIDE = 33u;
var<workgroup> left_tile: array<f32, 16 * ROW_STRIDE>;    // (depth, row); for sums (8 others, WIDTH)
var<workgroup> right_tile: array<f32, 16 * OTHER_STRIDE>; // (depth, other)
var<workgroup> scores: array<f32, 64 * SCORE_STRIDE>;     // (row, other)

// A tensor's part that a tile reads: the first element of its first row, and how many rows there are at all.
struct Part { at: u32, stride: u32, rows: u32 }
