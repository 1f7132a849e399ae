import type { LocalTrainer, RunConfig, TrainingData } from '@cotune/fl-core';
import {
  type CheckpointStore,
  GpuError,
  hostOf,
  type PairStepRecord,
  type StepRecord,
  type Trainer,
  trainPairsResumably,
  trainResumably,
} from '@cotune/kernels';

export interface LocalTrainerOptions {
  /** Where the step at hand survives a reload. */
  readonly checkpoints: CheckpointStore;
  readonly onOutOfMemory: (message: string) => void;
}

/**
 * The kernels' trainer as the participant logic wants it, for either task; μ and drift of the algorithm's rule act on both.
 * Runs on promises of the GPU queue only, with no timer, so that a hidden tab does not slow it down. On a lost GPU, or one
 * that ran out of memory, the promise stays open: the page starts the engine again and takes the round up, so the round must
 * not be declined here; it then goes on at the step that `checkpoints` holds.
 */
export function taskTrainer(
  trainer: Trainer,
  data: TrainingData,
  { dpo }: Pick<RunConfig, 'dpo'>,
  { checkpoints, onOutOfMemory }: LocalTrainerOptions,
): LocalTrainer {
  const host = hostOf(trainer);
  return {
    async train({ rule, seed, onStep, reference, ...job }) {
      const course = { ...job, ...rule, dropoutSeed: seed, store: checkpoints };
      const training =
        data.task === 'sft'
          ? trainResumably(host, data.examples, { ...course, onStep: (record) => onStep(common(record)) })
          : trainPairsResumably(host, data.pairs, {
              ...course,
              beta: dpo.beta,
              referenceAdapter: reference,
              onStep: ({ rewardAccuracy, rewardMargin, ...record }) =>
                onStep({ ...common(record), rewards: { accuracy: rewardAccuracy, margin: rewardMargin } }),
            });
      const trained = training.then(({ adapter, optimizer }) => ({ weights: adapter, optimizer }));
      return trained.catch((error: unknown) => {
        const code = error instanceof GpuError ? error.code : null;
        if (code !== 'device-lost' && code !== 'out-of-memory') throw error;
        if (code === 'out-of-memory') onOutOfMemory((error as GpuError).message);
        return new Promise<never>(() => {});
      });
    },
  };
}

type CommonRecord = Pick<StepRecord & PairStepRecord, 'step' | 'lossNats' | 'gradNorm' | 'tokens' | 'seconds'>;

const common = ({ step, lossNats, gradNorm, tokens, seconds }: CommonRecord) => ({
  step: step + 1,
  lossNats,
  gradNorm,
  tokensPerSecond: tokens / seconds,
  ms: seconds * 1000,
});
