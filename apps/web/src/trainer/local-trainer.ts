import type { LocalTrainer } from '@cotune/fl-core';
import {
  type CheckpointStore,
  GpuError,
  hostOf,
  type TokenizedExample,
  type Trainer,
  trainResumably,
} from '@cotune/kernels';

/**
 * The kernels' trainer as the participant logic wants it. Runs on promises of the GPU queue only, with no timer, so that a
 * hidden tab does not slow it down. On a lost GPU, or one that ran out of memory, the promise stays open: the page starts the
 * engine again and takes the round up, so the round must not be declined here; it then goes on at the step that
 * `checkpoints` holds.
 */
export function createLocalTrainer(
  trainer: Trainer,
  examples: readonly TokenizedExample[],
  checkpoints: CheckpointStore,
  onOutOfMemory: (message: string) => void,
): LocalTrainer {
  return {
    async train({ rule, seed, onStep, ...job }) {
      const training = trainResumably(hostOf(trainer), examples, {
        ...job,
        ...rule,
        dropoutSeed: seed,
        store: checkpoints,
        onStep: ({ step, lossNats, gradNorm, tokens, seconds }) =>
          onStep({ step: step + 1, lossNats, gradNorm, tokensPerSecond: tokens / seconds, ms: seconds * 1000 }),
      });
      return training.catch((error: unknown) => {
        const code = error instanceof GpuError ? error.code : null;
        if (code !== 'device-lost' && code !== 'out-of-memory') throw error;
        if (code === 'out-of-memory') onOutOfMemory((error as GpuError).message);
        return new Promise<never>(() => {});
      });
    },
  };
}
