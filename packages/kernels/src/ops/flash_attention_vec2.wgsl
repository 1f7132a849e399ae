alias Piece = vec2f;
fn inner(a: Piece, b: Piece, sum: f32) -> f32 { return fma(a.y, b.y, fma(a.x, b.x, sum)); }
