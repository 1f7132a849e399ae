import { z } from 'zod';
import { algorithmSettings } from '../algorithms/registry.ts';
import { TEMPLATE_CHOICES } from '../data/templates.ts';
import { FL_ERROR_CODES } from '../error.ts';
import { count, finite, id, positive, sha256 } from './fields.ts';

export const LORA_TARGET_NAMES = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'] as const;

/**
 * What the choice of participants and of their rows in a round depends on: run seed and round, or as OpenFedLLM's code
 * has it, the round alone through Python's generator, the same in every run.
 */
export const seeding = z.enum(['run', 'round-only']).default('run');

/** Whether a participant's AdamW begins each round anew, or goes on with moments and step count of its own last round that counted. */
export const optimizerState = z.enum(['fresh', 'kept']).default('fresh');

/** Settings of a run; what the operator fills in, and all that a participant needs to reproduce its training. */
export const runConfig = z.object({
  name: z.string().min(1).max(120),
  modelId: id,
  seed: z.number().int().nonnegative().default(1),
  seeding,
  /** The adapter that the run starts from, a blob of the coordinator's; absent, a new one is made from the seed. */
  startAdapter: sha256.optional(),
  algorithm: algorithmSettings,
  /** Supervised fine-tuning on responses (FedIT), or direct preference optimisation on pairs of them (FedVA). */
  task: z.enum(['sft', 'dpo']).default('sft'),
  dpo: z
    .object({
      /** How strongly the base model holds the policy. */
      beta: z.number().positive().default(0.1),
      /** Where prompt and answer do not fit, the prompt is cut from the left to no less than this; half of maxSeqLength when absent. */
      maxPromptLength: positive.optional(),
      /** What a reward is measured against: the base model alone (when absent), or with the adapter that the run starts from; the same where that is a new one. */
      reference: z.enum(['base', 'start']).optional(),
    })
    .prefault({}),
  /** `chat` is the template that the model brings. */
  template: z.enum(TEMPLATE_CHOICES).default('alpaca'),
  rounds: positive.max(100_000).default(3),
  /** Optimiser steps a participant takes each round. */
  steps: positive.max(100_000).default(10),
  batchSize: positive.max(1024).default(16),
  maxSeqLength: positive.max(8192).default(512),
  learningRate: z.number().positive().default(5e-5),
  /** Over rounds; constant within one. */
  learningRateSchedule: z.enum(['cosine', 'constant']).default('cosine'),
  /** Cosine over rounds ends here. */
  minLearningRate: z.number().nonnegative().default(1e-6),
  clipNorm: z.number().nonnegative().default(1),
  weightDecay: z.number().nonnegative().default(0),
  optimizerState,
  lora: z.object({
    rank: positive.max(256).default(8),
    alpha: z.number().positive().default(16),
    dropout: z.number().min(0).max(0.9).default(0),
    /** Each once: another would change nothing but the run's files. */
    targets: z
      .array(z.enum(LORA_TARGET_NAMES))
      .min(1)
      .overwrite((names) => [...new Set(names)])
      .default(['q_proj', 'v_proj']),
  }),
  participants: z
    .object({
      /** The run starts by itself when this many have joined (if autoStart), and a round needs this many updates (its quorum). */
      min: positive.default(2),
      max: positive.default(1000),
      /** Participants sampled for a round; all who are there when absent. */
      perRound: positive.optional(),
    })
    .refine(({ min, max }) => min <= max, { path: ['max'], message: 'expected at least as many as `min`' }),
  autoStart: z.boolean().default(false),
  roundDeadlineMs: positive.default(3_600_000),
  /** After the quorum is reached, how long to wait for the rest of the sampled participants. */
  graceMs: count.default(60_000),
  updateDtype: z.enum(['f32', 'f16']).default('f32'),
  /** Held-out data on the coordinator, by id; absent = no evaluation. */
  evaluationId: id.optional(),
  evaluateEveryRounds: positive.default(1),
});
export type RunConfig = z.infer<typeof runConfig>;
export type RunConfigInput = z.input<typeof runConfig>;

export const RUN_PHASES = ['draft', 'open', 'running', 'paused', 'finished', 'aborted', 'failed'] as const;
export const ROUND_PHASES = ['gathering', 'training', 'closing', 'aggregating', 'evaluating', 'published'] as const;
export const runPhase = z.enum(RUN_PHASES);
export const roundPhase = z.enum(ROUND_PHASES);

/** Whether a run has ended, one way or another; nothing leaves these phases. */
export const isOver = ({ phase }: { readonly phase: z.infer<typeof runPhase> }): boolean =>
  phase === 'finished' || phase === 'aborted' || phase === 'failed';

/** A content-addressed adapter vector (encoded by codec.ts); `url` is relative to the coordinator. */
export const blobRef = z.object({ url: z.string(), sha256, bytes: count });
export type BlobRef = z.infer<typeof blobRef>;

export const modelRef = z.object({
  id,
  title: z.string(),
  /** Directory URL, ends with '/'; model.json, shards and tokenizer.json below it. */
  url: z.string(),
  bytes: count,
  parameters: count,
  /** Whether software WebGPU adapters may train it (true for the demo model only). */
  allowSoftware: z.boolean(),
});
export type ModelRef = z.infer<typeof modelRef>;

const share = z.number().min(0).max(1);
/** Means over preference pairs; a reward is β·(log π − log π_ref). */
export const rewards = z.object({ accuracy: share, margin: finite });
export type Rewards = z.infer<typeof rewards>;

export const heldOutMetrics = z.object({
  lossNats: finite,
  /** Share of rows answered exactly; for preference pairs the share whose chosen answer has the higher reward. */
  accuracy: share,
  rows: count,
  labelTokens: count,
  /** Where the data are a classification: the class of highest likelihood, as scikit-learn counts it. */
  classes: z.object({ count, accuracy: share, f1Macro: share, f1Micro: share, f1Weighted: share }).optional(),
  /** For preference pairs. */
  rewards: rewards.extend({ chosen: finite, rejected: finite }).optional(),
});
export type HeldOutMetrics = z.infer<typeof heldOutMetrics>;

export const roundRefusal = z.object({ participantId: id, code: z.enum(FL_ERROR_CODES), message: z.string() });
export const roundSummary = z.object({
  round: count,
  attempt: count,
  phase: roundPhase,
  sampled: z.array(id),
  received: z.array(
    z.object({
      participantId: id,
      /** Of the encoded update, so that a repeated upload is recognised after the round has closed. */
      sha256,
      examples: count,
      lossNats: finite.nullable(),
      updateNorm: finite,
      bytes: count,
      rewards: rewards.optional(),
    }),
  ),
  refused: z.array(roundRefusal),
  /** True when the round changed nothing: too few updates, or an aggregate that could not be used. */
  kept: z.boolean(),
  /** Why the model was kept or the round tried again, in a sentence. */
  note: z.string().nullable(),
  adapterSha256: sha256.nullable(),
  evaluation: heldOutMetrics.nullable(),
  startedAtMs: count,
  publishedAtMs: count.nullable(),
  deadlineMs: count.nullable(),
});
export type RoundSummary = z.infer<typeof roundSummary>;

/** What everyone in a run may know about it. */
export const runView = z.object({
  runId: id,
  config: runConfig,
  phase: runPhase,
  reason: z.string().nullable(),
  /** Current (0-based) round; equals config.rounds when finished. */
  round: count,
  attempt: count,
  roundPhase: roundPhase.nullable(),
  participants: count,
  connected: count,
  adapter: blobRef.nullable(),
  /** Evaluation of the untuned model. */
  baseline: heldOutMetrics.nullable(),
  rounds: z.array(roundSummary),
  createdAtMs: count,
});
export type RunView = z.infer<typeof runView>;
