import { type HeldOutMetrics, heldOutMetrics } from '@cotune/fl-core';
import type { Federated } from './federation.ts';

/**
 * Held-out figures of the last adapter. The last round need not have measured it: it may have kept the model that it began
 * with, and an earlier one not have been due. So the latest measurement of this very adapter is taken, or else `measure`
 * called. null where that gives no finite figures.
 */
export async function finalFigures(
  { state, startSha256, vector }: Federated,
  measure: (vector: Float32Array) => Promise<HeldOutMetrics>,
): Promise<HeldOutMetrics | null> {
  const known = [{ adapterSha256: startSha256, evaluation: state.baseline }, ...state.history].findLast(
    ({ adapterSha256, evaluation }) => evaluation !== null && adapterSha256 === state.adapter?.sha256,
  );
  if (known) return known.evaluation;
  const figures = heldOutMetrics.safeParse(await measure(vector));
  return figures.success ? figures.data : null;
}
