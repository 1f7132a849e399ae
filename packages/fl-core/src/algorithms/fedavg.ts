import { z } from 'zod';
import { type Algorithm, EMPTY_STATE } from './algorithm.ts';
import { addDelta, weightedMeanDelta, weighting } from './weighted-mean.ts';

const hyper = z.strictObject({ weighting });

/**
 * Federated averaging (McMahan et al. 2017, arXiv 1602.05629): w ← w + Σ p_k Δ_k.
 * Client: plain training. OpenFedLLM averages the adapters weighted by sample count, which is the same sum.
 */
export const fedavg = {
  id: 'fedavg',
  title: 'FedAvg',
  summary: 'Averages what the participants learned, weighted by how many examples each has.',
  hyper,
  exchanges: true,
  initialState: () => EMPTY_STATE,
  initialClientState: () => EMPTY_STATE,
  localRule: () => ({ mu: 0 }),
  serverStep: ({ weights, updates, hyper, state }) => ({
    weights: addDelta(weights, weightedMeanDelta(updates, weights.length, hyper.weighting)),
    state,
  }),
} as const satisfies Algorithm<z.output<typeof hyper>>;
