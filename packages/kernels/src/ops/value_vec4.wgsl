alias Value = vec4f;
fn total(v: Value) -> f32 { return dot(v, vec4f(1.0)); }
