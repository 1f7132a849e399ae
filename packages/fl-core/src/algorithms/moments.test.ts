import { describe, expect, it } from 'vitest';
import { fedadagrad } from './fedadagrad.ts';
import { fedadam } from './fedadam.ts';
import { fedyogi } from './fedyogi.ts';
import { serverTrajectory, update } from './trajectory.test-support.ts';

const ADAPTIVE = { fedadagrad, fedyogi, fedadam };

/** Step over Δ in rounds 1 and 200 when every round's average is the same Δ. */
function multipliers(id: keyof typeof ADAPTIVE, delta: number, hyper: { eta?: number; tau?: number } = {}): number[] {
  const algorithm = ADAPTIVE[id];
  const rounds = Array.from({ length: 200 }, () => [update('a', 1, delta)]);
  const w = serverTrajectory(algorithm, algorithm.hyper.parse(hyper) as never, [0], rounds).map(
    ([value]) => value ?? 0,
  );
  return [w[0] ?? 0, (w[199] ?? 0) - (w[198] ?? 0)].map((step) => Number((step / delta).toFixed(2)));
}

describe('what the defaults of the server optimisers do to a constant update', () => {
  // The table of docs/algorithms.md.
  it.each([
    ['fedadam', 2e-5, 0.5, 0.73],
    ['fedyogi', 2e-5, 0.5, 0.5],
    ['fedadagrad', 2e-5, 0.5, 0.49],
    ['fedadam', 2e-4, 0.5, 0.71],
    ['fedyogi', 2e-4, 0.5, 0.51],
    ['fedadagrad', 2e-4, 0.5, 0.25],
    ['fedadam', 2e-3, 0.5, 0.35],
    ['fedyogi', 2e-3, 0.5, 0.33],
    ['fedadagrad', 2e-3, 0.31, 0.03],
  ] as const)('%s, Δ = %d', (id, delta, first, last) => {
    expect(multipliers(id, delta)).toEqual([first, last]);
  });

  it.each([
    ['fedadam', 2e-5, 1, 1.46],
    ['fedyogi', 2e-5, 1, 1],
    ['fedadagrad', 2e-5, 1, 0.98],
    ['fedadam', 2e-4, 1, 1.42],
    ['fedyogi', 2e-4, 1, 1.02],
    ['fedadagrad', 2e-4, 0.99, 0.5],
    ['fedadam', 2e-3, 0.99, 0.69],
    ['fedyogi', 2e-3, 0.99, 0.67],
    ['fedadagrad', 2e-3, 0.62, 0.07],
  ] as const)('%s with η = 2τ, Δ = %d', (id, delta, first, last) => {
    expect(multipliers(id, delta, { eta: 2e-3, tau: 1e-3 })).toEqual([first, last]);
    // only the ratios of Δ, η and τ count
    expect(multipliers(id, delta / 128, { eta: 2e-3 / 128, tau: 1e-3 / 128 })).toEqual([first, last]);
  });
});
