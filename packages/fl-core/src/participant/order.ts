import type { TrainPlan } from '../protocol/schema.ts';
import { createPythonRandom } from '../python-random.ts';
import { createRng } from '../rng.ts';

/**
 * Indices of the examples that a round trains on, (count): shuffled passes over all of them, one after another, so that
 * nobody's rows are left out. A pure function of its arguments. Throws RangeError without examples.
 */
export function exampleOrder({ examples, count, seed }: { examples: number; count: number; seed: number }): number[] {
  const some = requireSome('exampleOrder', examples);
  const rng = createRng(`${seed}/order`);
  const all = Array.from({ length: some }, (_, i) => i);
  const order: number[] = [];
  while (order.length < count) {
    for (const index of rng.shuffle(all).slice(0, count - order.length)) order.push(index);
  }
  return order;
}

/**
 * The same as OpenFedLLM's code chooses (`get_dataset_this_round`): Python's `random.seed(round)`, then
 * `random.sample(range(examples), min(count, examples))`; where that is fewer than `count`, it is gone through again in the
 * same order. Nothing of the client enters: those with equally many examples train on the same positions of their files in
 * a round, in every run. Throws RangeError without examples.
 */
export function publishedOrder({
  examples,
  count,
  round,
}: {
  examples: number;
  count: number;
  round: number;
}): number[] {
  const some = requireSome('publishedOrder', examples);
  const pass = createPythonRandom(round).sample(some, Math.min(count, some));
  return Array.from({ length: count }, (_, i) => pass[i % pass.length] as number);
}

/** The examples of a participant's round as its plan says, (steps × batchSize). */
export function roundOrder(
  plan: Pick<TrainPlan, 'steps' | 'batchSize' | 'seed' | 'seeding'>,
  { examples, round }: { examples: number; round: number },
): number[] {
  const count = plan.steps * plan.batchSize;
  return plan.seeding === 'round-only'
    ? publishedOrder({ examples, count, round })
    : exampleOrder({ examples, count, seed: plan.seed });
}

function requireSome(what: string, examples: number): number {
  if (examples < 1) throw new RangeError(`${what}: got ${examples} examples, expected at least one`);
  return examples;
}
