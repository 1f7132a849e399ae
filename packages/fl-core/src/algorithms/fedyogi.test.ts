import { describe, expect, it } from 'vitest';
import { fedyogi } from './fedyogi.ts';
import { serverTrajectory, update } from './trajectory.test-support.ts';

// Weighted means Δ = 8, 4, −20; uniform means 10, 2, −20
const rounds = [
  [update('a', 3, 6), update('b', 1, 14)],
  [update('a', 3, 6), update('b', 1, -2)],
  [update('b', 1, -20), update('a', 3, -20)],
];
const hyper = { eta: 2, tau: 3, beta1: 0.5, beta2: 0.75, secondMoment: 'delta', weighting: 'examples' } as const;

describe('fedyogi', () => {
  it('follows a trajectory of three rounds worked out by hand, with v growing and shrinking', () => {
    // m = 8, 64 > 9: v = 9 + ¼·64 = 5², step 2·8/(5 + 3) = 2
    // m = ½·8 + ½·4 = 6, 16 < 25: v = 25 − ¼·16 = 21, step 12/(√21 + 3)
    // m = ½·6 − ½·20 = −7, 400 > 21: v = 21 + ¼·400 = 11², step −14/(11 + 3) = −1
    const result = serverTrajectory(fedyogi, hyper, [0], rounds);
    const second = 2 + 12 / (Math.sqrt(21) + 3);
    expect(result[0]).toEqual([2]);
    expect(result[1]?.[0]).toBeCloseTo(second, 6);
    expect(result[2]?.[0]).toBeCloseTo(second - 1, 6);
  });

  it('squares the momentum when asked to, as OpenFedLLM does', () => {
    // 36 > 25: v = 25 + ¼·36 = 34; 49 > 34: v = 34 + ¼·49 = 46.25
    const result = serverTrajectory(fedyogi, { ...hyper, secondMoment: 'momentum' }, [0], rounds);
    const second = 2 + 12 / (Math.sqrt(34) + 3);
    expect(result[0]).toEqual([2]);
    expect(result[1]?.[0]).toBeCloseTo(second, 6);
    expect(result[2]?.[0]).toBeCloseTo(second - 14 / (Math.sqrt(46.25) + 3), 6);
  });

  it('weighs all alike when asked to', () => {
    // m = 10; 6; −7. v = 9 + 25 = 34; 34 − 1 = 33; 33 + 100 = 133
    const result = serverTrajectory(fedyogi, { ...hyper, weighting: 'uniform' }, [0], rounds);
    const first = 20 / (Math.sqrt(34) + 3);
    const second = first + 12 / (Math.sqrt(33) + 3);
    const third = second - 14 / (Math.sqrt(133) + 3);
    for (const [t, w] of [first, second, third].entries()) expect(result[t]?.[0]).toBeCloseTo(w, 6);
  });

  it('leaves v where Δ² equals it', () => {
    // τ = 4: v = 16 = Δ², step 2·4/(4 + 4)
    expect(serverTrajectory(fedyogi, { ...hyper, tau: 4 }, [0], [[update('a', 1, 4)]])).toEqual([[1]]);
  });

  it.each(['delta', 'momentum'] as const)('has the published constants by default, squaring the %s', (secondMoment) => {
    const deltas = [2e-4, -5e-4, 3e-3, 0, 1e-3];
    const result = serverTrajectory(
      fedyogi,
      fedyogi.hyper.parse({ secondMoment }),
      [0],
      deltas.map((delta) => [update('a', 1, delta)]),
    );
    let [w, m, v] = [0, 0, 0.001 * 0.001];
    deltas.forEach((delta, t) => {
      m = t === 0 ? delta : 0.9 * m + 0.1 * delta;
      const square = secondMoment === 'delta' ? delta * delta : m * m;
      v += 0.01 * square * (v > square ? -1 : 1);
      w += (0.001 * m) / (Math.sqrt(v) + 0.001);
      expect(result[t]?.[0]).toBeCloseTo(w, 9);
    });
    expect(fedyogi.hyper.parse({}).secondMoment).toBe('delta');
  });
});
