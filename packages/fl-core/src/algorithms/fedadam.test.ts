import { describe, expect, it } from 'vitest';
import { fedadam } from './fedadam.ts';
import { serverTrajectory, update } from './trajectory.test-support.ts';

// Weighted means Δ = 7, 5, −35; uniform means 8, 2, −35
const rounds = [
  [update('a', 3, 6), update('b', 1, 10)],
  [update('a', 3, 8), update('b', 1, -4)],
  [update('b', 1, -35), update('a', 3, -35)],
];
const hyper = { eta: 6, tau: 1, beta1: 0.5, beta2: 0.5, secondMoment: 'delta', weighting: 'examples' } as const;

describe('fedadam', () => {
  it('follows a trajectory of three rounds worked out by hand', () => {
    // m = 7, v = ½·1 + ½·49 = 5²: step 6·7/(5 + 1) = 7
    // m = ½·7 + ½·5 = 6, v = ½·25 + ½·25 = 5²: step 6·6/(5 + 1) = 6
    // m = ½·6 − ½·35 = −14.5, v = ½·25 + ½·1225 = 25²: step 6·(−14.5)/(25 + 1) = −87/26
    expect(serverTrajectory(fedadam, hyper, [0], rounds)).toEqual([[7], [13], [Math.fround(13 - 87 / 26)]]);
  });

  it('squares the momentum when asked to, as OpenFedLLM does', () => {
    // v = 25; ½·25 + ½·6² = 30.5; ½·30.5 + ½·14.5² = 120.375
    const result = serverTrajectory(fedadam, { ...hyper, secondMoment: 'momentum' }, [0], rounds);
    const second = 7 + 36 / (Math.sqrt(30.5) + 1);
    expect(result[0]).toEqual([7]);
    expect(result[1]?.[0]).toBeCloseTo(second, 5);
    expect(result[2]?.[0]).toBeCloseTo(second - 87 / (Math.sqrt(120.375) + 1), 5);
  });

  it('weighs all alike when asked to', () => {
    // m = 8; ½·8 + ½·2 = 5; ½·5 − ½·35 = −15. v = ½ + 32 = 32.5; 16.25 + 2 = 18.25; 9.125 + 612.5 = 621.625
    const result = serverTrajectory(fedadam, { ...hyper, weighting: 'uniform' }, [0], rounds);
    const first = 48 / (Math.sqrt(32.5) + 1);
    const second = first + 30 / (Math.sqrt(18.25) + 1);
    const third = second - 90 / (Math.sqrt(621.625) + 1);
    for (const [t, w] of [first, second, third].entries()) expect(result[t]?.[0]).toBeCloseTo(w, 5);
  });

  it.each(['delta', 'momentum'] as const)('has the published constants by default, squaring the %s', (secondMoment) => {
    const deltas = [2e-4, -5e-4, 3e-3, 0, 1e-3];
    const result = serverTrajectory(
      fedadam,
      fedadam.hyper.parse({ secondMoment }),
      [0],
      deltas.map((delta) => [update('a', 1, delta)]),
    );
    let [w, m, v] = [0, 0, 0.001 * 0.001];
    deltas.forEach((delta, t) => {
      m = t === 0 ? delta : 0.9 * m + 0.1 * delta;
      v = 0.99 * v + 0.01 * (secondMoment === 'delta' ? delta * delta : m * m);
      w += (0.001 * m) / (Math.sqrt(v) + 0.001);
      expect(result[t]?.[0]).toBeCloseTo(w, 9);
    });
    expect(fedadam.hyper.parse({}).secondMoment).toBe('delta');
  });
});
