import type { Algorithm, AlgorithmState, ClientUpdate, LocalRule } from './algorithm.ts';

export const update = (participantId: string, examples: number, ...delta: number[]): ClientUpdate => ({
  participantId,
  examples,
  delta: new Float32Array(delta),
});

/** The global weights after every round, for algorithms whose clients send nothing but their delta. */
export function serverTrajectory<Hyper>(
  algorithm: Algorithm<Hyper>,
  hyper: Hyper,
  start: readonly number[],
  rounds: readonly (readonly ClientUpdate[])[],
): number[][] {
  let weights: Float32Array = new Float32Array(start);
  let state = algorithm.initialState(start.length);
  return rounds.map((updates) => {
    ({ weights, state } = algorithm.serverStep({ weights, updates, hyper, state, clients: updates.length }));
    return [...weights];
  });
}

export interface Client {
  readonly participantId: string;
  readonly examples: number;
  /** Of its loss at w. */
  gradient(w: number): number;
}

/** ½ curvature (w − optimum)². */
export const quadratic = (participantId: string, curvature: number, optimum: number, examples = 1): Client => ({
  participantId,
  examples,
  gradient: (w) => curvature * (w - optimum),
});

/** What the trainer does with a rule, for one weight and plain gradient descent (or its sign), in float64. */
export function descend(
  { mu, drift, driftTarget = 'gradient' }: LocalRule,
  client: Client,
  start: number,
  {
    steps,
    learningRate,
    normalise = (g) => g,
  }: { steps: number; learningRate: number; normalise?: (g: number) => number },
): number {
  const d = drift?.[0] ?? 0;
  let w = start;
  for (let step = 0; step < steps; step++) {
    const g = client.gradient(w) + mu * (w - start) + (driftTarget === 'gradient' ? d : 0);
    w -= learningRate * normalise(g);
    if (driftTarget === 'weights') w -= learningRate * d;
  }
  return w;
}

/** A federation of one weight: both halves of an algorithm, with `descend` as everyone's trainer. */
export function federate<Hyper>(
  algorithm: Algorithm<Hyper>,
  hyper: Hyper,
  training: { readonly steps: number; readonly learningRate: number },
) {
  const clientStates = new Map<string, AlgorithmState>();
  const server = { weights: new Float32Array(1) as Float32Array, state: algorithm.initialState(1) };
  return {
    server,
    clientStates,
    /** One round with these of N clients. */
    round(sampled: readonly Client[], clients: number): number {
      const shared = Object.fromEntries(
        (algorithm.shares ?? []).map((name) => [name, server.state.vectors[name] as Float32Array]),
      );
      const start = server.weights;
      const updates = sampled.map((client): ClientUpdate => {
        const { participantId, examples } = client;
        const clientState = clientStates.get(participantId) ?? algorithm.initialClientState(1);
        const w = descend(algorithm.localRule(hyper, clientState, shared), client, start[0] as number, training);
        const trained = new Float32Array([w]);
        const step = algorithm.clientStep?.({ hyper, clientState, shared, start, trained, ...training });
        if (step !== undefined) clientStates.set(participantId, step.state);
        const delta = new Float32Array([(trained[0] as number) - (start[0] as number)]);
        return { participantId, examples, delta, ...(step?.extra && { extra: step.extra }) };
      });
      const next = algorithm.serverStep({ ...server, updates, hyper, clients });
      Object.assign(server, next);
      return next.weights[0] as number;
    },
  };
}
