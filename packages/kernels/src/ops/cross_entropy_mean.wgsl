@group(0) @binding(5) var<storage, read> step: array<f32>; // STEP values

const INVERSE_LABEL_TOKENS = 4u;

fn row_weight(row: u32) -> f32 { return step[INVERSE_LABEL_TOKENS]; }
