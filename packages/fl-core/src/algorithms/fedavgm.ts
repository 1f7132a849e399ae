import { z } from 'zod';
import { type Algorithm, EMPTY_STATE } from './algorithm.ts';
import { beta1, carriedMoments, firstMoment, initialMoments } from './moments.ts';
import { addDelta, weightedMeanDelta, weighting } from './weighted-mean.ts';

const hyper = z.strictObject({
  beta1,
  momentum: z
    .enum(['average', 'sum'])
    .default('average')
    .describe(
      'Whether the new average enters the momentum by 1 − β₁ (OpenFedLLM) or in full (the paper; up to 1/(1 − β₁) larger steps).',
    ),
  weighting,
});

/**
 * Federated averaging with server momentum (Hsu et al. 2019, arXiv 1909.06335), Δ = Σ p_k Δ_k:
 *   m = Δ in the first round, then β₁ m + (1 − β₁) Δ;  w ← w + m.
 * Client: plain training.
 *
 * That is OpenFedLLM's code. The paper has m = β₁ m + Δ (`momentum: 'sum'`), which also begins with Δ since m is 0 before.
 */
export const fedavgm = {
  id: 'fedavgm',
  title: 'FedAvgM',
  summary: 'FedAvg that keeps some of the earlier rounds’ direction.',
  hyper,
  exchanges: true,
  initialState: initialMoments('m'),
  initialClientState: () => EMPTY_STATE,
  localRule: () => ({ mu: 0 }),
  serverStep: ({ weights, updates, hyper, state }) => {
    const { beta1, momentum } = hyper;
    const delta = weightedMeanDelta(updates, weights.length, hyper.weighting);
    const share = momentum === 'sum' ? 1 : 1 - beta1;
    const m = firstMoment(state, delta, (m, d) => beta1 * m + share * d);
    return { weights: addDelta(weights, m), state: carriedMoments(state, { m }) };
  },
} as const satisfies Algorithm<z.output<typeof hyper>>;
