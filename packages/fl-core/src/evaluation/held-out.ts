import type { HeldOutMetrics } from '../protocol/schema.ts';

/** What the model did on one held-out row, or on a batch of them. */
export interface HeldOutResult {
  /** Sum of −ln p over the label tokens. */
  readonly lossNats: number;
  readonly labelTokens: number;
  readonly rows: number;
  /** Rows whose every label token was the model's first choice. */
  readonly exactRows: number;
}

/**
 * Mean of −ln p per label token over the tokens of all rows (not a mean of means), and the share of rows answered
 * exactly. Throws RangeError without a label token, when neither exists.
 */
export function summariseHeldOut(results: readonly HeldOutResult[]): HeldOutMetrics {
  const sum = (field: keyof HeldOutResult): number => results.reduce((total, result) => total + result[field], 0);
  const [labelTokens, rows] = [sum('labelTokens'), sum('rows')];
  if (labelTokens === 0) throw new RangeError(`held-out set of ${rows} rows has no label token: expected at least one`);
  return { lossNats: sum('lossNats') / labelTokens, accuracy: sum('exactRows') / rows, rows, labelTokens };
}

/** exp of a mean loss in nats per token: 1 for a certain model, the vocabulary's size for a guessing one. */
export function perplexity(lossNats: number): number {
  return Math.exp(lossNats);
}
