import { describe, expect, it } from 'vitest';
import { pairedDifference, spreadOf, tQuantile } from './statistics.ts';

describe('tQuantile', () => {
  // Two-sided 95 % points as statistical tables print them, to three decimals.
  it.each([
    [1, 12.706],
    [2, 4.303],
    [3, 3.182],
    [4, 2.776],
    [5, 2.571],
    [9, 2.262],
    [10, 2.228],
    [29, 2.045],
    [30, 2.042],
    [120, 1.98],
  ])('has the tabulated 95 %% point of %d degrees of freedom', (degrees, expected) => {
    expect(tQuantile(0.95, degrees)).toBeCloseTo(expected, 3);
  });

  it.each([
    [0.99, 1, 63.657],
    [0.99, 2, 9.925],
    [0.9, 7, 1.895],
    [0.5, 1, 1], // tan(π/4): the quartile of a Cauchy variable
  ])('has that of %d and %d degrees of freedom', (confidence, degrees, expected) => {
    expect(tQuantile(confidence, degrees)).toBeCloseTo(expected, 3);
  });

  it('follows the closed forms of one and two degrees of freedom', () => {
    for (const p of [0.2, 0.8, 0.95, 0.999]) {
      expect(tQuantile(p, 1) / Math.tan((Math.PI * p) / 2)).toBeCloseTo(1, 9);
      expect(tQuantile(p, 2) / (p * Math.sqrt(2 / (1 - p * p)))).toBeCloseTo(1, 9); // p = t/√(2 + t²)
    }
  });

  it('refuses what has no quantile', () => {
    expect(() => tQuantile(0.95, 0)).toThrow('got confidence 0.95 and 0 degrees of freedom');
    expect(() => tQuantile(0.95, 1.5)).toThrow(RangeError);
    expect(() => tQuantile(1, 3)).toThrow(RangeError);
  });
});

describe('spreadOf', () => {
  it('divides by n − 1', () => {
    // mean 4, squares 9 + 1 + 16 = 26
    expect(spreadOf([1, 3, 8])).toEqual({ n: 3, mean: 4, stdDev: Math.sqrt(13) });
    expect(spreadOf([7])).toEqual({ n: 1, mean: 7, stdDev: null });
    expect(spreadOf([])).toBeUndefined();
  });
});

describe('pairedDifference', () => {
  it('makes the interval worked by hand', () => {
    // mean 2, s = 1, n = 3: 2 ± 4.30265/√3 = 2 ± 2.48414
    const three = pairedDifference([1, 2, 3]);
    expect(three?.interval?.low).toBeCloseTo(-0.48414, 4);
    expect(three?.interval?.high).toBeCloseTo(4.48414, 4);
    // mean 3, s = √2, n = 2: 3 ± 12.7062·√2/√2
    const two = pairedDifference([2, 4]);
    expect(two?.interval?.low).toBeCloseTo(3 - 12.7062, 3);
    expect(two?.interval?.high).toBeCloseTo(3 + 12.7062, 3);
  });

  it('has no interval for one pair, and nothing for none', () => {
    expect(pairedDifference([0.5])).toEqual({ n: 1, mean: 0.5, stdDev: null, interval: null });
    expect(pairedDifference([])).toBeUndefined();
  });

  it('has an interval of no width where every seed differs alike', () => {
    expect(pairedDifference([0.25, 0.25, 0.25])?.interval).toEqual({ low: 0.25, high: 0.25 });
  });
});
