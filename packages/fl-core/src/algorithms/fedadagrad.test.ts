import { describe, expect, it } from 'vitest';
import { fedadagrad } from './fedadagrad.ts';
import { serverTrajectory, update } from './trajectory.test-support.ts';

// Weighted means Δ = 4, 12, −84; uniform means 6, 8, −84
const rounds = [
  [update('a', 3, 2), update('b', 1, 10)],
  [update('a', 3, 16), update('b', 1, 0)],
  [update('b', 1, -84), update('a', 3, -84)],
];

describe('fedadagrad', () => {
  it('follows a trajectory of three rounds worked out by hand', () => {
    // τ = 3, v₀ = 9. v = 9 + 16 = 5², step 4·4/(5 + 3) = 2; v = 25 + 144 = 13², step 4·12/(13 + 3) = 3;
    // v = 169 + 7056 = 85², step 4·(−84)/(85 + 3) = −42/11
    const result = serverTrajectory(fedadagrad, { eta: 4, tau: 3, weighting: 'examples' }, [1], rounds);
    expect(result).toEqual([[3], [6], [Math.fround(6 - 42 / 11)]]);
  });

  it('weighs all alike when asked to', () => {
    // v = 9 + 36 = 45; 45 + 64 = 109; 109 + 7056 = 7165
    const result = serverTrajectory(fedadagrad, { eta: 4, tau: 3, weighting: 'uniform' }, [1], rounds);
    const first = 1 + 24 / (Math.sqrt(45) + 3);
    const second = first + 32 / (Math.sqrt(109) + 3);
    const third = second - 336 / (Math.sqrt(7165) + 3);
    for (const [t, w] of [first, second, third].entries()) expect(result[t]?.[0]).toBeCloseTo(w, 5);
  });

  it('has the published η and τ by default', () => {
    // Reddi et al. in scalars: v ← v + Δ², w ← w + η Δ/(√v + τ), v₀ = τ²
    const deltas = [2e-4, -5e-4, 3e-3, 0, 1e-3];
    let [w, v] = [0, 0.001 * 0.001];
    const result = serverTrajectory(
      fedadagrad,
      fedadagrad.hyper.parse({}),
      [0],
      deltas.map((delta) => [update('a', 1, delta)]),
    );
    deltas.forEach((delta, t) => {
      v += delta * delta;
      w += (0.001 * delta) / (Math.sqrt(v) + 0.001);
      expect(result[t]?.[0]).toBeCloseTo(w, 9);
    });
  });
});
