import { z } from 'zod';
import { type Algorithm, EMPTY_STATE } from './algorithm.ts';
import {
  adaptedStep,
  beta1,
  beta2,
  carriedMoments,
  eta,
  firstMoment,
  initialMoments,
  nextSecondMoment,
  secondMoment,
  tau,
} from './moments.ts';
import { addDelta, weightedMeanDelta, weighting } from './weighted-mean.ts';

const hyper = z.strictObject({ eta, tau, beta1, beta2, secondMoment, weighting });

/**
 * FedYogi (Reddi et al. 2021, arXiv 2003.00295, algorithm 2), Δ = Σ p_k Δ_k:
 *   m = Δ in the first round, then β₁ m + (1 − β₁) Δ;
 *   v = v − (1 − β₂) Δ² sign(v − Δ²) (τ² before the first round);  w ← w + η m/(√v + τ).
 * Client: plain training. v stays positive: it loses at most (1 − β₂) v.
 *
 * OpenFedLLM's code puts m² for Δ² in v and takes the uniform mean: `secondMoment: 'momentum'` with `weighting: 'uniform'`. The
 * default is the paper's Δ². That m begins as Δ, not as (1 − β₁) Δ, is OpenFedLLM's; the paper does not say.
 */
export const fedyogi = {
  id: 'fedyogi',
  title: 'FedYogi',
  summary: 'FedAdam whose step sizes change by small amounts only, however suddenly updates grow or shrink.',
  hyper,
  exchanges: true,
  initialState: initialMoments('m', 'v'),
  initialClientState: () => EMPTY_STATE,
  localRule: () => ({ mu: 0 }),
  serverStep: ({ weights, updates, hyper, state }) => {
    const { tau, beta1, beta2 } = hyper;
    const delta = weightedMeanDelta(updates, weights.length, hyper.weighting);
    const m = firstMoment(state, delta, (m, d) => beta1 * m + (1 - beta1) * d);
    const x = hyper.secondMoment === 'momentum' ? m : delta;
    const v = nextSecondMoment(state, x, tau, (v, square) => v - (1 - beta2) * square * Math.sign(v - square));
    return { weights: addDelta(weights, adaptedStep(m, v, hyper)), state: carriedMoments(state, { m, v }) };
  },
} as const satisfies Algorithm<z.output<typeof hyper>>;
