import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fedavg } from './fedavg.ts';
import { scaffold } from './scaffold.ts';
import { descend, federate, quadratic } from './trajectory.test-support.ts';

const hyper = scaffold.hyper.parse({});
const training = { steps: 2, learningRate: 0.5 };
const a = quadratic('a', 1, 8); // gradient w − 8
const b = quadratic('b', 0.5, 0); // gradient w/2
const vector = (value: number) => new Float32Array([value]);

describe('scaffold', () => {
  it('follows a trajectory of three rounds worked out by hand, both halves', () => {
    const run = federate(scaffold, hyper, training);
    const c = () => run.server.state.vectors.c?.[0];
    const own = () => ['a', 'b'].map((id) => run.clientStates.get(id)?.vectors.ck?.[0]);
    // a: 0 → 4 → 6, c_a = (0 − 6)/(2·½) = −6. b: stays at 0, c_b = 0. w = (6 + 0)/2, c = (−6 + 0)/2
    expect([run.round([a, b], 2), c(), own()]).toEqual([3, -3, [-6, 0]]);
    // a: drift −3 + 6 = 3. g = −5 + 3, w = 4; g = −4 + 3, w = 4.5. c_a = −6 + 3 + (3 − 4.5) = −4.5
    // b: drift −3. g = 1.5 − 3, w = 3.75; g = 1.875 − 3, w = 4.3125. c_b = 0 + 3 + (3 − 4.3125) = 1.6875
    // w = 3 + (1.5 + 1.3125)/2, c = −3 + (1.5 + 1.6875)/2
    expect([run.round([a, b], 2), c(), own()]).toEqual([4.40625, -1.40625, [-4.5, 1.6875]]);
    // a: drift 3.09375. g = −0.5, w = 4.65625; g = −0.25, w = 4.78125. c_a = −4.5 + 1.40625 − 0.375 = −3.46875
    // b: drift −3.09375. g = −0.890625, w = 4.8515625; g = −0.66796875, w = 5.185546875.
    //    c_b = 1.6875 + 1.40625 − 0.779296875 = 2.314453125
    // w = 4.40625 + (0.375 + 0.779296875)/2, c = −1.40625 + (1.03125 + 0.626953125)/2
    expect([run.round([a, b], 2), c(), own()]).toEqual([4.9833984375, -0.5771484375, [-3.46875, 2.314453125]]);
  });

  it('divides what was learned of the controls by all clients, not by those sampled', () => {
    const update = (participantId: string, delta: number, controlDelta: number) => ({
      participantId,
      examples: 1,
      delta: vector(delta),
      extra: { controlDelta: vector(controlDelta) },
    });
    const step = (clients: number) =>
      scaffold.serverStep({
        weights: vector(1),
        updates: [update('a', 2, 6), update('b', 4, -2)],
        hyper,
        state: { vectors: { c: vector(0.5) }, numbers: {} },
        clients,
      });
    expect(step(8)).toEqual({ weights: vector(1 + 3), state: { vectors: { c: vector(0.5 + 4 / 8) }, numbers: {} } });
    expect(step(2).state.vectors).toEqual({ c: vector(0.5 + 4 / 2) });
    expect(() => step(1)).toThrow(expect.objectContaining({ code: 'invalid' }));
    expect(() => step(Number.NaN)).toThrow(expect.objectContaining({ code: 'invalid' }));
  });

  it('takes the controls of all alike, whatever the weighting of the deltas', () => {
    const update = (participantId: string, examples: number, delta: number, controlDelta: number) => ({
      participantId,
      examples,
      delta: vector(delta),
      extra: { controlDelta: vector(controlDelta) },
    });
    const updates = [update('a', 3, 4, 6), update('b', 1, 8, -2)];
    const step = (weighting: 'examples' | 'uniform') =>
      scaffold.serverStep({
        weights: vector(0),
        updates,
        hyper: { ...hyper, weighting },
        state: scaffold.initialState(1),
        clients: 2,
      });
    expect(step('examples')).toEqual({ weights: vector(5), state: { vectors: { c: vector(2) }, numbers: {} } });
    expect(step('uniform')).toEqual({ weights: vector(6), state: { vectors: { c: vector(2) }, numbers: {} } });
  });

  it('corrects weights or gradient, which differ where the optimiser normalises', () => {
    const clientState = { vectors: { ck: vector(-0.25) }, numbers: {} };
    const rule = (driftTarget: 'weights' | 'gradient') =>
      scaffold.localRule({ ...hyper, driftTarget }, clientState, { c: vector(0.5) });
    expect(rule('weights')).toEqual({ mu: 0, drift: vector(0.75), driftTarget: 'weights' });
    expect(rule('gradient')).toEqual({ mu: 0, drift: vector(0.75), driftTarget: 'gradient' });
    expect(hyper).toEqual({ driftTarget: 'weights', weighting: 'examples' });
    // sign descent on w − 8 from 0, one step of ½: on the weights 0 + ½ − ½·0.75, on the gradient sign(−8 + 0.75) alone
    const once = { steps: 1, learningRate: 0.5, normalise: Math.sign };
    expect(descend(rule('weights'), a, 0, once)).toBe(0.5 - 0.375);
    expect(descend(rule('gradient'), a, 0, once)).toBe(0.5);
  });

  it('refuses a round without steps and states of another shape', () => {
    const input = {
      hyper,
      clientState: scaffold.initialClientState(1),
      shared: { c: vector(0) },
      start: vector(0),
      trained: vector(1),
    };
    const invalid = expect.objectContaining({ code: 'invalid' });
    expect(() => scaffold.clientStep({ ...input, steps: 0, learningRate: 0.5 })).toThrow(invalid);
    expect(() => scaffold.clientStep({ ...input, steps: 2, learningRate: 0 })).toThrow(invalid);
    expect(() => scaffold.localRule(hyper, input.clientState, {})).toThrow(invalid);
    const other = { c: new Float32Array(2) };
    const wrongShape = expect.objectContaining({ code: 'wrong-shape' });
    expect(() => scaffold.localRule(hyper, input.clientState, other)).toThrow(wrongShape);
    expect(() => scaffold.clientStep({ ...input, shared: other, steps: 1, learningRate: 1 })).toThrow(wrongShape);
  });
});

/** Contraction of one client's local descent over a round. */
const way = (curvature: number, { steps, learningRate }: typeof training) =>
  1 - (1 - learningRate * curvature) ** steps;

describe('scaffold on quadratics whose optima and curvatures differ', () => {
  const long = { steps: 8, learningRate: 0.1 };
  const curvature = fc.double({ min: 0.5, max: 3, noNaN: true });
  const optimum = fc.double({ min: -4, max: 4, noNaN: true });

  it('converges to the optimum of the sum, where FedAvg stops at another point', () => {
    fc.assert(
      fc.property(curvature, curvature, optimum, optimum, (h1, h2, o1, o2) => {
        const clients = [quadratic('a', h1, o1), quadratic('b', h2, o2)];
        const best = (h1 * o1 + h2 * o2) / (h1 + h2);
        // FedAvg rests where Σ (1 − (1 − lr·h)^steps)(o − w) = 0
        const drifted = (way(h1, long) * o1 + way(h2, long) * o2) / (way(h1, long) + way(h2, long));
        const corrected = federate(scaffold, hyper, long);
        const plain = federate(fedavg, { weighting: 'examples' }, long);
        for (let round = 0; round < 300; round++) {
          corrected.round(clients, 2);
          plain.round(clients, 2);
        }
        expect(Math.abs((corrected.server.weights[0] as number) - best)).toBeLessThan(1e-4);
        expect(Math.abs((plain.server.weights[0] as number) - drifted)).toBeLessThan(1e-4);
      }),
      { numRuns: 30 },
    );
    const drift = (way(1, training) * 8) / (way(1, training) + way(0.5, training));
    expect(Math.abs(drift - 16 / 3)).toBeGreaterThan(0.25); // 5.05 beside 5.33: the two differ
  });

  it('ends where all clients count alike, whatever their numbers of examples', () => {
    const clients = [quadratic('a', 1, 8, 30), quadratic('b', 0.5, 0, 10)];
    const run = federate(scaffold, hyper, training);
    for (let round = 0; round < 200; round++) run.round(clients, 2);
    expect(run.server.weights[0]).toBeCloseTo(16 / 3, 4);
  });

  it('converges when some are sampled each round, and when one comes back after a long absence', () => {
    const clients = [quadratic('a', 1, 8), quadratic('b', 0.5, 0), quadratic('c', 2, -1)] as const;
    const pairs = [clients.slice(0, 2), clients.slice(1), [clients[2], clients[0]]];
    const best = (8 + 0 - 2) / 3.5;
    const run = federate(scaffold, hyper, long);
    for (let round = 0; round < 900; round++) run.round(pairs[round % 3] ?? [], 3);
    expect(run.server.weights[0]).toBeCloseTo(best, 3);
    for (let round = 0; round < 50; round++) run.round(clients.slice(0, 2), 3);
    for (let round = 0; round < 400; round++) run.round(clients, 3);
    expect(run.server.weights[0]).toBeCloseTo(best, 4);
  });

  it('goes on when a client loses its state, with what that client had put into c left in it', () => {
    const clients = [quadratic('a', 1, 8), quadratic('b', 0.5, 0)];
    const run = federate(scaffold, hyper, training);
    for (let round = 0; round < 100; round++) run.round(clients, 2);
    const lost = run.clientStates.get('b')?.vectors.ck?.[0] as number;
    expect(lost).toBeCloseTo(8 / 3, 4); // b's gradient at 16/3
    run.clientStates.delete('b');
    for (let round = 0; round < 200; round++) expect(Number.isFinite(run.round(clients, 2))).toBe(true);
    // it rests where c = 0 = ((w − 8) + w/2 + lost)/2
    expect(run.server.weights[0]).toBeCloseTo((8 - lost) / 1.5, 4);
  });
});
