import type { PairProgress, PairTraining, PreferencePair } from './dpo.ts';

/**
 * The pairs in the order in which they are met, as `order` names them. Where any of them is met more than once, all have the
 * base model's log-probabilities, each asked for once; those given already are kept. What is asked depends on the pairs and
 * their order alone, so the bits of training on them do too.
 */
export async function withReference(
  trainer: Pick<PairTraining, 'referenceLogProbs'>,
  pairs: readonly PreferencePair[],
  order: readonly number[],
  progress: PairProgress,
): Promise<readonly PreferencePair[]> {
  const met = new Set(order);
  const known = new Map<number, PreferencePair>();
  for (const index of met) {
    const pair = pairs[index];
    if (pair === undefined) throw new RangeError(`pair ${index} of ${pairs.length}: the order is for other data`);
    known.set(index, pair);
  }
  const open = met.size === order.length ? [] : [...known].filter(([, { reference }]) => reference === undefined);
  if (open.length > 0) {
    const answers = await trainer.referenceLogProbs(
      open.map(([, pair]) => pair),
      progress,
    );
    open.forEach(([index, pair], i) => {
      known.set(index, { ...pair, reference: answers[i] });
    });
  }
  return order.flatMap((index) => known.get(index) ?? []);
}
