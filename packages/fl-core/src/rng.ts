import { sha256 } from '@noble/hashes/sha2.js';

/** A seeded source of random numbers: the same seed gives the same numbers on every machine. */
export interface Rng {
  /** 32 random bits as a whole number in [0, 2³²). */
  bits(): number;
  /** Uniform in [0, 1) with 53 random bits. */
  uniform(): number;
  /** Uniform whole number in [0, n), without modulo bias. Throws RangeError unless n is a whole number in 1..2³². */
  integer(n: number): number;
  /** Standard normal (Box–Muller). */
  normal(): number;
  /** A shuffled copy (Fisher–Yates). */
  shuffle<T>(items: readonly T[]): T[];
}

/**
 * xoshiro128** (Blackman and Vigna 2018, https://prng.di.unimi.it/xoshiro128starstar.c) whose state is the first 16
 * bytes of SHA-256(seed). Derive independent streams by naming them: `createRng(`${runSeed}/round/${round}`)`.
 * A number and its decimal string are the same seed. Not for secrets.
 */
export function createRng(seed: number | string): Rng {
  const digest = sha256(new TextEncoder().encode(String(seed)));
  const view = new DataView(digest.buffer, digest.byteOffset, digest.byteLength);
  return xoshiro128([
    view.getUint32(0, true),
    view.getUint32(4, true),
    view.getUint32(8, true),
    view.getUint32(12, true),
  ]);
}

/** The generator from a raw state, which must not be all zero. */
export function xoshiro128(state: readonly [number, number, number, number]): Rng {
  let [a, b, c, d] = state;
  if ((a | b | c | d) === 0) throw new RangeError('xoshiro128: got an all-zero state, expected at least one set bit');

  const bits = (): number => {
    const product = Math.imul(b, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = (d << 11) | (d >>> 21);
    return result;
  };
  const uniform = (): number => ((bits() >>> 5) * 0x4000000 + (bits() >>> 6)) / 0x20000000000000;
  const integer = (n: number): number => {
    if (!Number.isInteger(n) || n < 1 || n > 0x100000000) {
      throw new RangeError(`integer(${n}): expected a whole number from 1 to 2^32`);
    }
    const limit = 0x100000000 - (0x100000000 % n);
    let value = bits();
    while (value >= limit) value = bits();
    return value % n;
  };
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  const shuffle = <T>(items: readonly T[]): T[] => {
    const result = [...items];
    for (let i = result.length - 1; i > 0; i--) {
      const j = integer(i + 1);
      const held = result[i] as T;
      result[i] = result[j] as T;
      result[j] = held;
    }
    return result;
  };
  return { bits, uniform, integer, normal, shuffle };
}
