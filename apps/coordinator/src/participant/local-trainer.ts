import type { LocalTrainer, RunConfig, TrainingData } from '@cotune/fl-core';
import {
  type CheckpointStore,
  type PairProgress,
  type PairStepRecord,
  type Resumption,
  type StepRecord,
  type TrainerHost,
  trainPairsResumably,
  trainResumably,
} from '@cotune/kernels';

export interface LocalTrainerOptions {
  /** Where the step at hand survives this process; without it a round begins anew after a restart. */
  readonly checkpoints?: CheckpointStore;
  readonly onNotice?: (message: string) => void;
  /** How far the base model is with pairs that a round meets more than once, before its first step. */
  readonly onReference?: PairProgress['onProgress'];
}

/**
 * The engine as the participant logic wants it, for either task. μ and drift of the algorithm's rule act on both. A lost GPU
 * is opened again and a round goes on at the step it had reached.
 */
export function taskTrainer(
  host: TrainerHost,
  data: TrainingData,
  { dpo }: Pick<RunConfig, 'dpo'>,
  options: LocalTrainerOptions = {},
): LocalTrainer {
  const resumption = resumptionOf(options);
  return {
    async train({ rule, seed, onStep, reference, ...job }) {
      const course = { ...job, ...rule, ...resumption, dropoutSeed: seed };
      const { adapter, optimizer } =
        data.task === 'sft'
          ? await trainResumably(host, data.examples, { ...course, onStep: (record) => onStep(common(record)) })
          : await trainPairsResumably(host, data.pairs, {
              ...course,
              beta: dpo.beta,
              referenceAdapter: reference,
              onReference: options.onReference,
              onStep: ({ rewardAccuracy, rewardMargin, ...record }) =>
                onStep({ ...common(record), rewards: { accuracy: rewardAccuracy, margin: rewardMargin } }),
            });
      return { weights: adapter, optimizer };
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

function resumptionOf({ checkpoints, onNotice }: LocalTrainerOptions): Resumption {
  return {
    store: checkpoints,
    onResumed: (step) => onNotice?.(`going on after step ${step}, where the last process stopped`),
    onRecovered: ({ message }, step) => onNotice?.(`${message}; opened it again, going on after step ${step}`),
    onStoreError: (error) => onNotice?.(`cannot keep a checkpoint: ${(error as Error).message}`),
  };
}
