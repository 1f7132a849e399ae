import type { RunConfig } from '@cotune/fl-core/protocol';

export interface TaskWords {
  readonly title: string;
  /** What a run's rows are called. */
  readonly rows: string;
  /** What is minimised, as a heading and within a sentence. */
  readonly loss: string;
  readonly lossNats: string;
  /** The held-out accuracy as a heading. */
  readonly accuracy: string;
  /** What the accuracy is, in a sentence. */
  readonly accuracyHint: string;
}

/** How the pages speak of a task's figures. */
export const TASK_WORDS = {
  sft: {
    title: 'Instruction tuning (SFT)',
    rows: 'examples',
    loss: 'loss',
    lossNats: 'Loss now, nats',
    accuracy: 'Accuracy',
    accuracyHint: 'Held-out rows answered exactly',
  },
  dpo: {
    title: 'Preference tuning (DPO)',
    rows: 'pairs',
    loss: 'DPO loss',
    lossNats: 'DPO loss now, nats',
    accuracy: 'Reward accuracy',
    accuracyHint: 'Held-out pairs whose chosen answer has the higher reward',
  },
} as const satisfies Record<RunConfig['task'], TaskWords>;
