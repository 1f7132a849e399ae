import type { RunConfigInput } from '@cotune/fl-core/protocol';

export interface Preset {
  readonly id: string;
  readonly title: string;
  readonly config: Partial<Omit<RunConfigInput, 'algorithm'>>;
}

/** What every preset sets, so that one replaces another whole. */
const PUBLISHED = {
  learningRateSchedule: 'cosine',
  seeding: 'run',
  optimizerState: 'fresh',
  autoStart: false,
  roundDeadlineMs: 3_600_000,
  graceMs: 60_000,
} as const;

/**
 * Settings that are known to work: the embedded demo model (as in its demo-run.json, which a test compares), and those of
 * OpenFedLLM (arXiv 2402.06954, training_scripts) for instruction and for preference tuning of a 7B Llama.
 */
export const PRESETS: readonly Preset[] = [
  {
    id: 'demo',
    title: 'Demo: news sentiment in a minute',
    config: {
      ...PUBLISHED,
      task: 'sft',
      rounds: 3,
      steps: 12,
      batchSize: 16,
      maxSeqLength: 32,
      learningRate: 1e-2,
      minLearningRate: 1e-6,
      template: 'plain',
      lora: {
        rank: 8,
        alpha: 16,
        dropout: 0,
        targets: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
      },
      participants: { min: 3, max: 3 },
      autoStart: true,
      roundDeadlineMs: 600_000,
    },
  },
  {
    id: 'instruct',
    title: 'Instruction tuning of a large Llama',
    config: {
      ...PUBLISHED,
      task: 'sft',
      rounds: 200,
      steps: 10,
      batchSize: 16,
      maxSeqLength: 512,
      learningRate: 5e-5,
      minLearningRate: 1e-6,
      template: 'alpaca',
      lora: { rank: 32, alpha: 64, dropout: 0.05, targets: ['q_proj', 'v_proj'] },
      participants: { min: 2, max: 20 },
    },
  },
  {
    id: 'preferences',
    title: 'Preference tuning (DPO) of a large Llama',
    config: {
      ...PUBLISHED,
      task: 'dpo',
      dpo: { beta: 0.1, maxPromptLength: 128 },
      rounds: 200,
      steps: 10,
      batchSize: 16,
      maxSeqLength: 512,
      learningRate: 5e-4,
      minLearningRate: 1e-5,
      template: 'vicuna',
      lora: { rank: 8, alpha: 16, dropout: 0.05, targets: ['q_proj', 'v_proj'] },
      participants: { min: 2, max: 20, perRound: 2 },
    },
  },
];
