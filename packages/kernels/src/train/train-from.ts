import type { TokenizedExample } from './batch.ts';
import { type TrainOptions, train } from './train.ts';
import type { Trainer } from './trainer.ts';

export interface TrainFromOptions extends TrainOptions {
  /** Where training starts, and w₀ of the proximal term. */
  readonly weights: Float32Array;
  /** Indices of the examples, in the order in which the steps take them. */
  readonly order: readonly number[];
  /** Added by every step; see StepOptions.driftTarget. */
  readonly drift?: Float32Array | undefined;
}

/**
 * Trains an adapter from a given vector with fresh AdamW moments, whatever the trainer did before. Returns the trained
 * vector, which after an abort is the one reached so far. Throws RangeError for an index without an example, and as `train`.
 */
export async function trainFrom(
  trainer: Trainer,
  examples: readonly TokenizedExample[],
  { weights, order, drift, ...options }: TrainFromOptions,
): Promise<Float32Array<ArrayBuffer>> {
  const ordered = inOrder(examples, order);
  trainer.setAdapter(weights);
  trainer.resetOptimizer();
  if (options.mu) trainer.setReference(weights);
  trainer.setDrift(drift ?? null);
  await train(trainer, ordered, options);
  return trainer.adapter();
}

/** The rows as `order` names them. Throws RangeError for an index without a row. */
export function inOrder<Row>(rows: readonly Row[], order: readonly number[]): readonly Row[] {
  return order.map((index) => {
    const row = rows[index];
    if (row === undefined) throw new RangeError(`row ${index} of ${rows.length}: the order is for other data`);
    return row;
  });
}
