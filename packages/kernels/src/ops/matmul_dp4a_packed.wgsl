// Products of four int8 pairs by the instruction made for it.
alias Quad = u32;
fn quad_of(word: u32) -> Quad { return word; }
fn product(a: Quad, b: Quad) -> i32 { return dot4I8Packed(a, b); }
