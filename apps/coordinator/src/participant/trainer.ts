import type { LocalTrainer } from '@cotune/fl-core';
import { type CheckpointStore, type TokenizedExample, type TrainerHost, trainResumably } from '@cotune/kernels';

export interface LocalTrainerOptions {
  /** Where the step at hand survives this process; without it a round begins anew after a restart. */
  readonly checkpoints?: CheckpointStore;
  readonly onNotice?: (message: string) => void;
}

/** The engine as the participant logic wants it. A lost GPU is opened again and a round goes on at the step it had reached. */
export function localTrainer(
  host: TrainerHost,
  examples: readonly TokenizedExample[],
  { checkpoints, onNotice }: LocalTrainerOptions = {},
): LocalTrainer {
  return {
    train({ rule, seed, onStep, ...job }) {
      return trainResumably(host, examples, {
        ...job,
        ...rule,
        dropoutSeed: seed,
        store: checkpoints,
        onResumed: (step) => onNotice?.(`going on after step ${step}, where the last process stopped`),
        onRecovered: ({ message }, step) => onNotice?.(`${message}; opened it again, going on after step ${step}`),
        onStoreError: (error) => onNotice?.(`cannot keep a checkpoint: ${(error as Error).message}`),
        onStep: ({ step, lossNats, gradNorm, tokens, seconds }) =>
          onStep({ step: step + 1, lossNats, gradNorm, tokensPerSecond: tokens / seconds, ms: seconds * 1000 }),
      });
    },
  };
}
