import { createRng } from '../rng.ts';

/**
 * Indices of the examples that a round trains on, (count): shuffled passes over all of them, one after another, so that
 * nobody's rows are left out. A pure function of its arguments. Throws RangeError without examples.
 */
export function exampleOrder({ examples, count, seed }: { examples: number; count: number; seed: number }): number[] {
  if (examples < 1) throw new RangeError(`exampleOrder: got ${examples} examples, expected at least one`);
  const rng = createRng(`${seed}/order`);
  const all = Array.from({ length: examples }, (_, i) => i);
  const order: number[] = [];
  while (order.length < count) {
    for (const index of rng.shuffle(all).slice(0, count - order.length)) order.push(index);
  }
  return order;
}
