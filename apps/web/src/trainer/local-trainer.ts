import type { LocalTrainer } from '@cotune/fl-core';
import { type TokenizedExample, type Trainer, train } from '@cotune/kernels';

/**
 * The kernels' trainer as the participant logic wants it: one round's job, from a given vector, with fresh optimiser moments.
 * Runs on promises of the GPU queue only, with no timer, so that a hidden tab does not slow it down.
 */
export function createLocalTrainer(trainer: Trainer, examples: readonly TokenizedExample[]): LocalTrainer {
  return {
    async train({ weights, order, rule, seed, signal, onStep, ...plan }) {
      trainer.setAdapter(weights);
      trainer.resetOptimizer();
      if (rule.mu !== 0) trainer.setReference(weights);
      trainer.setDrift(rule.drift ?? null);
      const ordered = order.map((index) => {
        const example = examples[index];
        if (!example) throw new RangeError(`example ${index} of ${examples.length}: the plan is for other data`);
        return example;
      });
      await train(trainer, ordered, {
        ...plan,
        dropoutSeed: seed,
        mu: rule.mu,
        ...(rule.driftTarget ? { driftTarget: rule.driftTarget } : {}),
        signal,
        onStep: ({ step, lossNats, gradNorm, tokens, seconds }) =>
          onStep({ step, lossNats, gradNorm, tokensPerSecond: tokens / seconds, ms: seconds * 1000 }),
      });
      return trainer.adapter();
    },
  };
}
