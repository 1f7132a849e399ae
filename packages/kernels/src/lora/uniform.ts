/**
 * Counter-based uniform numbers in [0, 1): a pure function of (seed, counter), the same in every JavaScript engine.
 * The hash is MurmurHash3's 32-bit finaliser, applied to the seed and to the seed mixed with the counter.
 */
export function uniform(seed: number, counter: number): number {
  return mix32(mix32(seed) ^ Math.imul(counter, 0x9e3779b1)) / 2 ** 32;
}

/** A 32-bit hash of a 32-bit number (MurmurHash3's fmix32): every input bit reaches every output bit. */
export function mix32(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
