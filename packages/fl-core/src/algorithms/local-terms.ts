import { type AlgorithmSettings, algorithmOf } from './registry.ts';

/** What an algorithm adds to every local step; each costs a participant's GPU one more vector of the adapter's length. */
export interface LocalTerms {
  /** μ·(w − w₀) */
  readonly proximal: boolean;
  readonly drift: boolean;
}

/** Asks the algorithm's own client rule, of a vector of one element, in a client's first round. */
export function localTerms(settings: AlgorithmSettings): LocalTerms {
  const algorithm = algorithmOf(settings);
  const { vectors } = algorithm.initialState(1);
  const { mu, drift } = algorithm.localRule(settings.hyper, algorithm.initialClientState(1), vectors);
  return { proximal: mu !== 0, drift: drift !== undefined };
}
