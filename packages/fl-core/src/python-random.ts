/** The parts of CPython's `random.Random` that published training code draws with, number for number. */
export interface PythonRandom {
  /** `getrandbits(count)` for count from 0 to 32: a whole number in [0, 2^count). */
  bits(count: number): number;
  /** `randrange(n)`: uniform whole number in [0, n), for n from 1 to 2³² − 1. */
  integer(n: number): number;
  /** `sample(range(population), k)`: k different whole numbers below `population`, in the order drawn. */
  sample(population: number, k: number): number[];
}

const STATE_WORDS = 624;
const MIDDLE_WORDS = 397;

/**
 * What `random.seed(seed)` of CPython 3.2 and later gives for a whole number, so that a run published with Python's
 * generator can be repeated: the Mersenne Twister MT19937 (Matsumoto and Nishimura 1998, ACM TOMACS 8(1), with the
 * initialisation by array of 2002) keyed with the 32-bit words of |seed|, lowest first. For anything new use
 * `createRng`: seeds here are plain numbers, so that equal seeds in two places give equal draws.
 * Throws RangeError unless the seed is a whole number that a double holds exactly, or a draw is out of range.
 */
export function createPythonRandom(seed: number): PythonRandom {
  if (!Number.isSafeInteger(seed)) {
    throw new RangeError(`createPythonRandom(${seed}): expected a whole number from −(2^53 − 1) to 2^53 − 1`);
  }
  const size = Math.abs(seed);
  const next = mersenneTwister(size < 2 ** 32 ? [size] : [size >>> 0, Math.floor(size / 2 ** 32)]);

  const bits = (count: number): number => {
    requireWhole('bits', count, 0, 32);
    return count === 0 ? 0 : next() >>> (32 - count);
  };
  // As many bits as n has, drawn again while too large.
  const integer = (n: number): number => {
    requireWhole('integer', n, 1, 0xffffffff);
    const count = 32 - Math.clz32(n);
    let value = bits(count);
    while (value >= n) value = bits(count);
    return value;
  };
  const sample = (population: number, k: number): number[] => {
    requireWhole('sample', population, 0, 0xffffffff);
    requireWhole(`sample(${population}, …)`, k, 0, population);
    return population <= poolLimit(k) ? sampleFromPool(integer, population, k) : sampleBySet(integer, population, k);
  };
  return { bits, integer, sample };
}

/** The largest population that `sample` lists in full: what a set of k would take, 21 + 4^⌈log₄ 3k⌉ beyond k = 5. */
function poolLimit(k: number): number {
  let limit = 21;
  if (k > 5) {
    let power = 1;
    while (power < 3 * k) power *= 4;
    limit += power;
  }
  return limit;
}

/** Each draw takes one out of those left, and the last of those left takes its place. */
function sampleFromPool(integer: (n: number) => number, population: number, k: number): number[] {
  const pool = Array.from({ length: population }, (_, i) => i);
  return Array.from({ length: k }, (_, i) => {
    const j = integer(population - i);
    const drawn = pool[j] as number; // j is below the pool's length
    pool[j] = pool[population - i - 1] as number;
    return drawn;
  });
}

/** Draws from the whole range, again while it is one that was drawn before. */
function sampleBySet(integer: (n: number) => number, population: number, k: number): number[] {
  const drawn = new Set<number>();
  while (drawn.size < k) drawn.add(integer(population)); // a Set keeps the order of insertion
  return [...drawn];
}

/** MT19937 keyed by an array of words: a function that gives the next 32 bits. */
function mersenneTwister(key: readonly number[]): () => number {
  const state = initialState(key);
  let position = STATE_WORDS;
  return () => {
    if (position === STATE_WORDS) {
      twist(state);
      position = 0;
    }
    let word = state[position++] as number; // position is below STATE_WORDS
    word ^= word >>> 11;
    word ^= (word << 7) & 0x9d2c5680;
    word ^= (word << 15) & 0xefc60000;
    return (word ^ (word >>> 18)) >>> 0;
  };
}

function initialState(key: readonly number[]): Uint32Array {
  const state = new Uint32Array(STATE_WORDS);
  const at = (i: number): number => state[i] as number; // every index below is within the state
  const mixed = (i: number): number => at(i - 1) ^ (at(i - 1) >>> 30);
  state[0] = 19650218;
  for (let i = 1; i < STATE_WORDS; i++) state[i] = Math.imul(mixed(i), 1812433253) + i;

  // The last word is carried to the front each time the position wraps.
  let i = 1;
  const advance = (): void => {
    i += 1;
    if (i < STATE_WORDS) return;
    state[0] = at(STATE_WORDS - 1);
    i = 1;
  };
  for (let n = 0; n < Math.max(STATE_WORDS, key.length); n++) {
    const j = n % key.length;
    state[i] = (at(i) ^ Math.imul(mixed(i), 1664525)) + (key[j] as number) + j;
    advance();
  }
  for (let n = 1; n < STATE_WORDS; n++) {
    state[i] = (at(i) ^ Math.imul(mixed(i), 1566083941)) - i;
    advance();
  }
  state[0] = 0x80000000;
  return state;
}

/** The recurrence over the whole state: x[i + n] = x[i + m] ⊕ (upper bit of x[i] | lower 31 of x[i + 1]) A. */
function twist(state: Uint32Array): void {
  for (let i = 0; i < STATE_WORDS; i++) {
    const joined = ((state[i] as number) & 0x80000000) | ((state[(i + 1) % STATE_WORDS] as number) & 0x7fffffff);
    const middle = state[(i + MIDDLE_WORDS) % STATE_WORDS] as number;
    state[i] = middle ^ (joined >>> 1) ^ (joined & 1 ? 0x9908b0df : 0);
  }
}

function requireWhole(what: string, value: number, low: number, high: number): void {
  if (Number.isInteger(value) && value >= low && value <= high) return;
  throw new RangeError(`${what}: got ${value}, expected a whole number from ${low} to ${high}`);
}
