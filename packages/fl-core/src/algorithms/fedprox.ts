import { z } from 'zod';
import { type Algorithm, EMPTY_STATE } from './algorithm.ts';
import { addDelta, weightedMeanDelta, weighting } from './weighted-mean.ts';

const hyper = z.strictObject({
  mu: z
    .number()
    .min(0)
    .default(0.01)
    .describe('How strongly a participant is held to the global model (μ); 0 is FedAvg.'),
  weighting,
});

/**
 * FedProx (Li et al. 2020, arXiv 1812.06127). Client: the loss gains μ/2 ‖w_k − w‖², so its gradient μ(w_k − w), in every step
 * and before clipping. Server: w ← w + Σ p_k Δ_k.
 *
 * The paper samples clients in proportion to their examples and then averages uniformly; OpenFedLLM samples uniformly and
 * weights by examples, which is the default here, and uses the same μ.
 */
export const fedprox = {
  id: 'fedprox',
  title: 'FedProx',
  summary: 'FedAvg whose participants are pulled back towards the global model while they train.',
  hyper,
  exchanges: true,
  initialState: () => EMPTY_STATE,
  initialClientState: () => EMPTY_STATE,
  localRule: ({ mu }) => ({ mu }),
  serverStep: ({ weights, updates, hyper, state }) => ({
    weights: addDelta(weights, weightedMeanDelta(updates, weights.length, hyper.weighting)),
    state,
  }),
} as const satisfies Algorithm<z.output<typeof hyper>>;
