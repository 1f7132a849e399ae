// The same sum for adapters that emulate dot4I8Packed: each word is taken apart once, not once a product.
alias Quad = vec4i;
fn quad_of(word: u32) -> Quad { return unpack4xI8(word); }
fn product(a: Quad, b: Quad) -> i32 { return a.x * b.x + a.y * b.y + a.z * b.z + a.w * b.w; }
