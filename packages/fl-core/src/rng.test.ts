import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRng, xoshiro128 } from './rng.ts';

describe('rng', () => {
  it('gives the reference sequence of xoshiro128**', () => {
    const rng = xoshiro128([1, 2, 3, 4]);
    expect(Array.from({ length: 10 }, () => rng.bits())).toEqual([
      11520, 0, 5927040, 70819200, 2031721883, 1637235492, 1287239034, 3734860849, 3729100597, 4258142804,
    ]);
  });

  it('seeds its state with SHA-256, the same for a number and its decimal string', () => {
    const rng = createRng('7/round/2');
    expect(Array.from({ length: 4 }, () => rng.bits())).toEqual([2762695167, 891590359, 273954082, 3442551980]);
    expect(createRng(42).bits()).toBe(createRng('42').bits());
    expect(createRng(42).bits()).not.toBe(createRng(43).bits());
  });

  it('uniform stays in [0, 1) with mean ½ and variance 1/12', () => {
    const rng = createRng('moments');
    const values = Array.from({ length: 20000 }, () => rng.uniform());
    const mean = values.reduce((a, b) => a + b) / values.length;
    const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length;
    expect(values.every((v) => v >= 0 && v < 1)).toBe(true);
    expect(mean).toBeCloseTo(0.5, 2);
    expect(variance).toBeCloseTo(1 / 12, 2);
  });

  it('normal has mean 0 and variance 1', () => {
    const rng = createRng('normal');
    const values = Array.from({ length: 20000 }, () => rng.normal());
    const mean = values.reduce((a, b) => a + b) / values.length;
    expect(Math.abs(mean)).toBeLessThan(0.03);
    expect(Math.abs(values.reduce((a, b) => a + b * b, 0) / values.length - 1)).toBeLessThan(0.05);
  });

  it('integer(7) is uniform (χ² with 6 degrees of freedom below its 99.9 % point)', () => {
    const rng = createRng('dice');
    const counts = new Array<number>(7).fill(0);
    for (let i = 0; i < 14000; i++) counts[rng.integer(7)]! += 1; // integer(7) is in 0..6
    expect(counts.reduce((chi, n) => chi + (n - 2000) ** 2 / 2000, 0)).toBeLessThan(22.5);
  });

  it('refuses ranges it cannot draw from', () => {
    for (const n of [0, -1, 1.5, Number.NaN, 2 ** 33]) expect(() => createRng(1).integer(n)).toThrow(RangeError);
    expect(() => xoshiro128([0, 0, 0, 0])).toThrow(RangeError);
  });

  it('shuffle is a permutation, is decided by the seed, and leaves its argument alone', () => {
    fc.assert(
      fc.property(fc.array(fc.integer()), fc.string(), (items, seed) => {
        const before = [...items];
        const shuffled = createRng(seed).shuffle(items);
        expect(items).toEqual(before);
        expect([...shuffled].sort((a, b) => a - b)).toEqual([...items].sort((a, b) => a - b));
        expect(createRng(seed).shuffle(items)).toEqual(shuffled);
      }),
    );
    const positions = new Array<number>(4).fill(0);
    for (let seed = 0; seed < 4000; seed++) positions[createRng(seed).shuffle([0, 1, 2, 3]).indexOf(0)]! += 1; // 0..3
    for (const n of positions) expect(Math.abs(n - 1000)).toBeLessThan(120);
  });
});
