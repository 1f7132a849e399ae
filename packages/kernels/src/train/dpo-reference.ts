import type { PairProgress, PreferencePair } from './dpo.ts';
import type { Trainer } from './trainer.ts';

export interface ReferenceOptions extends PairProgress {
  /** The reference model is the base with this adapter (length of the layout); without it the base alone. */
  readonly adapter?: Float32Array | undefined;
}

type Asked = Pick<Trainer, 'setAdapter' | 'policyLogProbs' | 'referenceLogProbs'>;

/**
 * The pairs with the log-probabilities that the base model with `adapter` gives; those given already are kept. The trainer's
 * adapter is then this one. Throws as `referenceLogProbs`, and ModelError 'bad-adapter' when it is of another length.
 */
export async function withReferenceAdapter(
  trainer: Asked,
  pairs: readonly PreferencePair[],
  adapter: Float32Array,
  progress: PairProgress = {},
): Promise<readonly PreferencePair[]> {
  const open = pairs.filter(({ reference }) => reference === undefined);
  if (open.length === 0) return pairs;
  trainer.setAdapter(adapter);
  const answers = (await trainer.policyLogProbs(open, progress)).values();
  return pairs.map((pair) => (pair.reference ? pair : { ...pair, reference: answers.next().value }));
}

/**
 * The pairs in the order in which they are met, as `order` names them. Where any of them is met more than once, or the reference
 * is not the base alone, all have the reference's log-probabilities, each asked for once; those given already are kept. What
 * is asked depends on the pairs and their order alone, so the bits of training on them do too.
 */
export async function withReference(
  trainer: Asked,
  pairs: readonly PreferencePair[],
  order: readonly number[],
  { adapter, ...progress }: ReferenceOptions,
): Promise<readonly PreferencePair[]> {
  const met = [...new Set(order)];
  const known = met.map((index) => {
    const pair = pairs[index];
    if (pair === undefined) throw new RangeError(`pair ${index} of ${pairs.length}: the order is for other data`);
    return pair;
  });
  const answered = adapter
    ? await withReferenceAdapter(trainer, known, adapter, progress)
    : await withBase(trainer, known, met.length === order.length, progress);
  const byIndex = new Map(met.map((index, i) => [index, answered[i]]));
  return order.flatMap((index) => byIndex.get(index) ?? []);
}

/** Pairs that are all met once ask the base in the step that meets them. */
async function withBase(
  trainer: Asked,
  pairs: readonly PreferencePair[],
  once: boolean,
  progress: PairProgress,
): Promise<readonly PreferencePair[]> {
  const open = once ? [] : pairs.filter(({ reference }) => reference === undefined);
  if (open.length === 0) return pairs;
  const answers = (await trainer.referenceLogProbs(open, progress)).values();
  return pairs.map((pair) => (pair.reference ? pair : { ...pair, reference: answers.next().value }));
}
