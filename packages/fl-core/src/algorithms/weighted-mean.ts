import { z } from 'zod';
import { FlError } from '../error.ts';
import type { ClientUpdate } from './algorithm.ts';

export const weighting = z
  .enum(['examples', 'uniform'])
  .default('examples')
  .describe('How much each participant counts: by its number of examples, or all alike.');
export type Weighting = z.output<typeof weighting>;

/** Ids compared by code unit: the same order on every machine, whatever its locale. */
export const byParticipantId = (a: ClientUpdate, b: ClientUpdate): number =>
  a.participantId < b.participantId ? -1 : a.participantId > b.participantId ? 1 : 0;

/**
 * Σ p_k Δ_k with p_k = n_k / Σ n (McMahan et al. 2017, arXiv 1602.05629, algorithm 1) or 1/K, (length), in float64.
 * Updates are summed in the order of their participant ids, so the result is the same to the bit in whatever order they
 * arrived. Throws FlError `invalid` without updates or without examples, `duplicate` for two updates by one
 * participant, `wrong-shape` for another length.
 */
export function weightedMeanDelta(updates: readonly ClientUpdate[], length: number, how: Weighting): Float64Array {
  if (updates.length === 0) throw new FlError('invalid', 'aggregation: got no updates, expected at least one');
  const sorted = [...updates].sort(byParticipantId);
  const weights = sorted.map((update) => (how === 'uniform' ? 1 : update.examples));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  if (!(total > 0 && total < Infinity) || weights.some((weight) => !(weight >= 0))) {
    throw new FlError(
      'invalid',
      `aggregation: got example counts ${weights.join(', ')}, expected finite counts ≥ 0 and a positive sum`,
    );
  }
  const mean = new Float64Array(length);
  sorted.forEach((update, k) => {
    if (update.participantId === sorted[k + 1]?.participantId) {
      throw new FlError('duplicate', `aggregation: got two updates by ${update.participantId}, expected one`);
    }
    if (update.delta.length !== length) {
      throw new FlError(
        'wrong-shape',
        `aggregation: update of ${update.participantId} has ${update.delta.length} values, expected ${length}`,
      );
    }
    const share = (weights[k] as number) / total;
    const { delta } = update;
    for (let i = 0; i < length; i++) mean[i] = (mean[i] as number) + share * (delta[i] as number);
  });
  return mean;
}

/** w + Δ, (length), rounded once from float64 to float32. */
export function addDelta(weights: Float32Array, delta: Float64Array): Float32Array {
  const result = new Float32Array(weights.length);
  for (let i = 0; i < weights.length; i++) result[i] = (weights[i] as number) + (delta[i] as number);
  return result;
}
