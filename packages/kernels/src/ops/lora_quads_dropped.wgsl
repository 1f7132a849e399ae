
/** A quad after dropout; `element` is its first. */
fn dropped(value: vec4f, element: u32, key: u32) -> vec4f {
  if (!DROPOUT) { return value; }
  return value * vec4f(
    dropout_factor(key, element, params.threshold, params.inverse_keep),
    dropout_factor(key, element + 1, params.threshold, params.inverse_keep),
    dropout_factor(key, element + 2, params.threshold, params.inverse_keep),
    dropout_factor(key, element + 3, params.threshold, params.inverse_keep),
  );
}
