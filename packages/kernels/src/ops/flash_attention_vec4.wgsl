alias Piece = vec4f;
fn inner(a: Piece, b: Piece, sum: f32) -> f32 { return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum)))); }
