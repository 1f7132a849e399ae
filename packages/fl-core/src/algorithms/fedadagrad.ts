import { z } from 'zod';
import { type Algorithm, EMPTY_STATE } from './algorithm.ts';
import { adaptedStep, carriedMoments, eta, initialMoments, nextSecondMoment, tau } from './moments.ts';
import { addDelta, weightedMeanDelta, weighting } from './weighted-mean.ts';

const hyper = z.strictObject({ eta, tau, weighting });

/**
 * FedAdagrad (Reddi et al. 2021, arXiv 2003.00295, algorithm 2 with β₁ = 0), Δ = Σ p_k Δ_k:
 *   v = v + Δ² (τ² before the first round);  w ← w + η Δ/(√v + τ).
 * Client: plain training.
 *
 * OpenFedLLM has the same formula with the uniform mean (`weighting: 'uniform'`). Without momentum there is no other second
 * moment to choose.
 */
export const fedadagrad = {
  id: 'fedadagrad',
  title: 'FedAdagrad',
  summary: 'Smaller steps for parameters that have moved much in all rounds so far; steps only ever shrink.',
  hyper,
  exchanges: true,
  initialState: initialMoments('v'),
  initialClientState: () => EMPTY_STATE,
  localRule: () => ({ mu: 0 }),
  serverStep: ({ weights, updates, hyper, state }) => {
    const delta = weightedMeanDelta(updates, weights.length, hyper.weighting);
    const v = nextSecondMoment(state, delta, hyper.tau, (v, square) => v + square);
    return { weights: addDelta(weights, adaptedStep(delta, v, hyper)), state: carriedMoments(state, { v }) };
  },
} as const satisfies Algorithm<z.output<typeof hyper>>;
