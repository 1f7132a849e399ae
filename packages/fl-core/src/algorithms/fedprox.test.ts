import { describe, expect, it } from 'vitest';
import { fedavg } from './fedavg.ts';
import { fedprox } from './fedprox.ts';
import { descend, federate, quadratic, serverTrajectory, update } from './trajectory.test-support.ts';

const training = { steps: 2, learningRate: 0.5 };
const a = quadratic('a', 1, 8, 3); // ½ (w − 8)², three examples
const b = quadratic('b', 1, 0, 1); // ½ w², one example

describe('fedprox', () => {
  it('follows a trajectory of three rounds worked out by hand, both halves', () => {
    const run = federate(fedprox, { mu: 0.5, weighting: 'examples' }, training);
    // a from 0: g = −8, w = 4; g = −4 + 0.5·(4 − 0) = −2, w = 5. b stays at 0. w ← 0 + ¾·5 = 3.75
    expect(run.round([a, b], 2)).toBe(3.75);
    // a from 3.75: g = −4.25, w = 5.875; g = −2.125 + 0.5·2.125 = −1.0625, w = 6.40625: Δ = 2.65625
    // b from 3.75: g = 3.75, w = 1.875; g = 1.875 − 0.5·1.875 = 0.9375, w = 1.40625: Δ = −2.34375
    // w ← 3.75 + ¾·2.65625 − ¼·2.34375 = 5.15625
    expect(run.round([a, b], 2)).toBe(5.15625);
    // both go 5/8 of their way: w ← 5.15625 + 5/8·(6 − 5.15625) = 5.68359375, 6 = ¾·8 + ¼·0
    expect(run.round([a, b], 2)).toBe(5.68359375);
  });

  it('is FedAvg at μ = 0, and has the published μ by default', () => {
    const plain = federate(fedavg, { weighting: 'examples' }, training);
    const prox = federate(fedprox, { mu: 0, weighting: 'examples' }, training);
    for (let round = 0; round < 3; round++) expect(prox.round([a, b], 2)).toBe(plain.round([a, b], 2));
    expect(fedprox.hyper.parse({})).toEqual({ mu: 0.01, weighting: 'examples' });
    expect(fedprox.localRule(fedprox.hyper.parse({}))).toEqual({ mu: 0.01 });
    expect(fedprox.hyper.safeParse({ mu: -1 }).success).toBe(false);
  });

  it('keeps a client nearer to the global model the larger μ is', () => {
    const reached = [0, 0.01, 0.1, 1].map((mu) =>
      descend(fedprox.localRule({ mu, weighting: 'examples' }), a, 0, training),
    );
    expect(reached).toEqual([...reached].sort((x, y) => y - x));
    expect(new Set(reached).size).toBe(4);
  });

  it('weighs by examples or all alike', () => {
    const rounds = [[update('a', 3, 4), update('b', 1, 8)]];
    expect(serverTrajectory(fedprox, { mu: 0.5, weighting: 'examples' }, [1], rounds)).toEqual([[1 + 3 + 2]]);
    expect(serverTrajectory(fedprox, { mu: 0.5, weighting: 'uniform' }, [1], rounds)).toEqual([[1 + 2 + 4]]);
  });
});
