alias Value = f32;
fn total(v: Value) -> f32 { return v; }
