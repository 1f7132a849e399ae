import type { LocalTrainer } from '@cotune/fl-core';
import { type TokenizedExample, type Trainer, trainFrom } from '@cotune/kernels';

/** The engine's trainer as the participant logic wants it. */
export function localTrainer(trainer: Trainer, examples: readonly TokenizedExample[]): LocalTrainer {
  return {
    train({ rule, seed, onStep, ...job }) {
      return trainFrom(trainer, examples, {
        ...job,
        ...rule,
        dropoutSeed: seed,
        onStep: ({ step, lossNats, gradNorm, tokens, seconds }) =>
          onStep({ step: step + 1, lossNats, gradNorm, tokensPerSecond: tokens / seconds, ms: seconds * 1000 }),
      });
    },
  };
}
