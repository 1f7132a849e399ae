import { describe, expect, it } from 'vitest';
import { fedavgm } from './fedavgm.ts';
import { serverTrajectory, update } from './trajectory.test-support.ts';

// Weighted means Δ = 5, −1, 2; uniform means 6, −2, 2
const rounds = [
  [update('a', 3, 4), update('b', 1, 8)],
  [update('a', 3, 0), update('b', 1, -4)],
  [update('b', 1, 2), update('a', 3, 2)],
];

describe('fedavgm', () => {
  it('follows a trajectory of three rounds worked out by hand', () => {
    // m = 5; ½·5 + ½·(−1) = 2; ½·2 + ½·2 = 2
    const hyper = { beta1: 0.5, momentum: 'average', weighting: 'examples' } as const;
    expect(serverTrajectory(fedavgm, hyper, [1], rounds)).toEqual([[1 + 5], [6 + 2], [8 + 2]]);
  });

  it('adds the whole average to the momentum when asked to, as the paper does', () => {
    // m = 5; ½·5 − 1 = 1.5; ½·1.5 + 2 = 2.75
    const hyper = { beta1: 0.5, momentum: 'sum', weighting: 'examples' } as const;
    expect(serverTrajectory(fedavgm, hyper, [1], rounds)).toEqual([[1 + 5], [6 + 1.5], [7.5 + 2.75]]);
  });

  it('weighs all alike when asked to', () => {
    // Δ = 6, −2, 2: m = 6; ½·6 − ½·2 = 2; ½·2 + ½·2 = 2
    const hyper = { beta1: 0.5, momentum: 'average', weighting: 'uniform' } as const;
    expect(serverTrajectory(fedavgm, hyper, [1], rounds)).toEqual([[1 + 6], [7 + 2], [9 + 2]]);
  });

  it('has the published β₁ by default', () => {
    // m = 5; 0.9·5 − 0.1·1 = 4.4; 0.9·4.4 + 0.1·2 = 4.16
    const [first, second, third] = serverTrajectory(fedavgm, fedavgm.hyper.parse({}), [1], rounds);
    expect(first?.[0]).toBe(6);
    expect(second?.[0]).toBeCloseTo(10.4, 5);
    expect(third?.[0]).toBeCloseTo(14.56, 5);
  });
});
