/** Floating-point storage types that safetensors files hold and this reader decodes, with bytes per element. */
export const FLOAT_BYTES = { F32: 4, F16: 2, BF16: 2 } as const;
export type FloatDtype = keyof typeof FLOAT_BYTES;

let f16Table: Float32Array | undefined;

/** IEEE 754 binary16 bits to a number: (−1)^s · 2^(e−15) · (1 + m/1024), or 2^−14 · m/1024 when e = 0. */
export function f16ToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const mantissa = bits & 1023;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  if (exponent === 31) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}

/** Little-endian F32, F16 or BF16 bytes as f32. F32 bytes at an aligned offset are viewed, not copied. */
export function decodeFloats(bytes: Uint8Array<ArrayBuffer>, dtype: FloatDtype): Float32Array<ArrayBuffer> {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  const count = bytes.byteLength / FLOAT_BYTES[dtype];
  if (dtype === 'F32') return new Float32Array(aligned.buffer, aligned.byteOffset, count);
  const halves = new Uint16Array(aligned.buffer, aligned.byteOffset, count);
  if (dtype === 'BF16') {
    const bits = new Uint32Array(count);
    for (let i = 0; i < count; i++) bits[i] = halves[i]! << 16; // i < count
    return new Float32Array(bits.buffer);
  }
  f16Table ??= Float32Array.from({ length: 65536 }, (_, bits) => f16ToNumber(bits));
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) values[i] = f16Table[halves[i]!]!; // the table covers all 16-bit values
  return values;
}
