import { describe, expect, it } from 'vitest';
import { createPythonRandom } from './python-random.ts';

// random.seed(seed); random.sample(range(population), k) of CPython 3.11.7.
const SAMPLES: readonly (readonly [seed: number, population: number, k: number, drawn: readonly number[]])[] = [
  [0, 20, 2, [12, 13]],
  [1, 20, 2, [4, 18]],
  [199, 20, 2, [11, 12]],
  [7, 50, 5, [20, 9, 25, 41, 3]],
  [-7, 50, 5, [20, 9, 25, 41, 3]],
  [3, 5, 2, [1, 4]],
  [0, 1, 1, [0]],
  [5, 0, 0, []],
  [0, 21, 5, [12, 13, 1, 8, 16]],
  [0, 22, 5, [12, 13, 1, 8, 16]],
  [0, 6, 6, [3, 5, 0, 1, 2, 4]],
  [21, 21, 21, [5, 13, 19, 9, 15, 6, 12, 7, 14, 8, 2, 11, 17, 3, 16, 0, 20, 10, 18, 1, 4]],
  [11, 85, 6, [57, 71, 59, 84, 65, 75]],
  [12, 86, 6, [60, 34, 84, 67, 85, 44]],
  [13, 85, 16, [33, 37, 23, 29, 18, 28, 82, 16, 9, 68, 27, 83, 3, 55, 77, 1]],
  [14, 277, 21, [54, 269, 126, 138, 130, 149, 37, 230, 155, 238, 203, 201, 60, 134, 114, 161, 183, 133, 184, 264, 76]],
  [15, 278, 21, [106, 5, 266, 18, 80, 122, 8, 28, 75, 188, 59, 173, 238, 182, 143, 200, 134, 176, 117, 105, 181]],
  [16, 1000, 10, [370, 480, 492, 291, 426, 232, 457, 5, 419, 874]],
  [42, 100000, 5, [83810, 14592, 3278, 97196, 36048]],
  [2023, 4294967295, 3, [1644637140, 3013484573, 4174115899]],
  [9, 2147483648, 4, [1988601454, 1603362544, 1147333628, 595022250]],
  [4294967295, 100, 3, [81, 79, 26]],
  [4294967296, 100, 3, [14, 44, 53]],
  [9007199254740991, 100, 3, [12, 71, 28]],
];

// Longer ones: the first, the last, the sum, and the sum of each times its position from 1.
const LONG_SAMPLES = [
  [0, 1000, 160, 864, 281, 83950, 6647705],
  [17, 400, 160, 267, 153, 33152, 2667686],
  [31, 20000, 160, 402, 12429, 1536915, 129797758],
  [199, 341, 160, 176, 82, 26396, 2033644],
  [2, 4096, 1000, 463, 3602, 2092747, 1041904470],
  [2, 5000, 1000, 463, 1950, 2530146, 1279972337],
] as const;

describe('what CPython draws', () => {
  it.each(SAMPLES)('seed %i, sample(range(%i), %i)', (seed, population, k, drawn) => {
    expect(createPythonRandom(seed).sample(population, k)).toEqual(drawn);
  });

  it.each(LONG_SAMPLES)('seed %i, sample(range(%i), %i), summed', (seed, population, k, first, last, sum, weighted) => {
    const drawn = createPythonRandom(seed).sample(population, k);
    const total = drawn.reduce((a, b) => a + b, 0);
    const byPosition = drawn.reduce((a, b, i) => a + b * (i + 1), 0);
    expect([drawn.length, drawn[0], drawn.at(-1), total, byPosition]).toEqual([k, first, last, sum, weighted]);
  });

  it('bits, also past two refills of the state', () => {
    const few = createPythonRandom(2023);
    expect([1, 2, 7, 16, 31, 32, 32, 5].map((count) => few.bits(count))).toEqual([
      0, 2, 124, 29266, 1812084112, 1671744785, 1375594861, 19,
    ]);
    const random = createPythonRandom(5489);
    const many = Array.from({ length: 1300 }, () => random.bits(32));
    expect(many.slice(0, 3)).toEqual([3382763572, 956215839, 417760592]);
    expect(many.slice(623, 626)).toEqual([2520172305, 3103970926, 3088322790]);
    expect(many.slice(1247, 1250)).toEqual([1439774613, 43128516, 2083781709]);
  });

  it('draws that follow one another', () => {
    const turns = createPythonRandom(3);
    expect([turns.sample(9, 3), turns.sample(40, 3), turns.bits(8)]).toEqual([[3, 2, 7], [38, 30, 37], 16]);
  });
});

it('refuses what it cannot draw', () => {
  expect(() => createPythonRandom(0.5)).toThrow(/whole number/);
  expect(() => createPythonRandom(2 ** 53)).toThrow(/whole number/);
  const random = createPythonRandom(1);
  expect(() => random.sample(3, 4)).toThrow('sample(3, …): got 4, expected a whole number from 0 to 3');
  expect(() => random.integer(0)).toThrow(RangeError);
  expect(() => random.bits(33)).toThrow(RangeError);
});
