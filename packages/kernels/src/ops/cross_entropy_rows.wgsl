@group(0) @binding(5) var<storage, read> weights: array<f32>; // (rows)

fn row_weight(row: u32) -> f32 { return weights[row]; }
