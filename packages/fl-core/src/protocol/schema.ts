import { z } from 'zod';
import { algorithmSettings } from '../algorithms/registry.ts';
import { TEMPLATE_IDS } from '../data/templates.ts';
import { FL_ERROR_CODES } from '../error.ts';

const id = z.string().min(1).max(128);
export const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'expected 64 hex digits');
const count = z.number().int().nonnegative();
const positive = z.number().int().positive();
const finite = z.number().refine(Number.isFinite, 'expected a finite number');

export const LORA_TARGET_NAMES = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'] as const;

/** Settings of a run; what the operator fills in, and all that a participant needs to reproduce its training. */
export const runConfig = z.object({
  name: z.string().min(1).max(120),
  modelId: id,
  seed: z.number().int().nonnegative().default(1),
  algorithm: algorithmSettings,
  task: z.literal('sft').default('sft'),
  template: z.enum(TEMPLATE_IDS).default('alpaca'),
  rounds: positive.max(100_000).default(3),
  /** Optimiser steps a participant takes each round. */
  steps: positive.max(100_000).default(10),
  batchSize: positive.max(1024).default(16),
  maxSeqLength: positive.max(8192).default(512),
  learningRate: z.number().positive().default(5e-5),
  /** Cosine over rounds ends here. */
  minLearningRate: z.number().nonnegative().default(1e-6),
  clipNorm: z.number().nonnegative().default(1),
  weightDecay: z.number().nonnegative().default(0),
  lora: z.object({
    rank: positive.max(256).default(8),
    alpha: z.number().positive().default(16),
    dropout: z.number().min(0).max(0.9).default(0),
    targets: z.array(z.enum(LORA_TARGET_NAMES)).min(1).default(['q_proj', 'v_proj']),
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

export const heldOutMetrics = z.object({
  lossNats: finite,
  accuracy: z.number().min(0).max(1),
  rows: count,
  labelTokens: count,
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

// ---- /participant ----
/** No control characters, and none that turn the direction of the text around them: names are shown in terminals and logs. */
const plainText = /^[^\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]*$/u;
export const clientInfo = z.object({
  name: z
    .string()
    .min(1)
    .max(80)
    .regex(plainText, 'expected no control characters')
    .refine((name) => name.trim() !== '', 'expected more than spaces'),
  adapter: z.string().max(300),
  features: z.array(z.string().max(80)).max(200),
});
export const handshake = z.object({ protocol: z.number(), token: z.string().min(1).max(200), client: clientInfo });
export type Handshake = z.infer<typeof handshake>;

export const welcome = z.object({
  runId: id,
  participantId: id,
  /** 256-bit secret that resumes this identity after a reload; only its hash is stored by the coordinator. */
  resumeToken: z.string(),
  run: runView,
  model: modelRef,
});
export type Welcome = z.infer<typeof welcome>;

/** How one participant trains one round. */
export const trainPlan = z.object({
  steps: positive,
  batchSize: positive,
  learningRate: z.number().nonnegative(),
  clipNorm: z.number().nonnegative(),
  weightDecay: z.number().nonnegative(),
  /** Seeds the order of examples and dropout; derived from run seed, round and the participant's ordinal. */
  seed: count,
  algorithm: algorithmSettings,
});
export type TrainPlan = z.infer<typeof trainPlan>;
export const roundOffer = z.object({
  runId: id,
  round: count,
  attempt: count,
  deadlineMs: count,
  adapter: blobRef,
  plan: trainPlan,
});
export type RoundOffer = z.infer<typeof roundOffer>;
export const roundAccept = z.object({ runId: id, round: count, attempt: count });
export const roundDecline = z.object({ runId: id, round: count, attempt: count, reason: z.string().max(300) });
export const progress = z.object({
  runId: id,
  round: count,
  step: count,
  steps: positive,
  lossNats: finite,
  tokensPerSecond: z.number().nonnegative(),
});
export type Progress = z.infer<typeof progress>;

export const uploadOpen = z.object({
  runId: id,
  round: count,
  attempt: count,
  bytes: positive,
  sha256,
  dtype: z.enum(['f32', 'f16']),
  examples: positive,
  metrics: z.object({ lossNats: finite.nullable(), steps: count, trainingMs: count }),
});
export type UploadOpen = z.infer<typeof uploadOpen>;
export const uploadTicket = z.object({
  uploadId: id,
  chunkBytes: positive,
  window: positive,
  /** Bitmap of chunks already on disk, base64, least significant bit first. */
  have: z.string(),
});
export type UploadTicket = z.infer<typeof uploadTicket>;
export const uploadChunk = z.object({ uploadId: id, index: count, crc32: count });
export const uploadCommit = z.object({ uploadId: id });
export const uploadVerdict = z.discriminatedUnion('status', [
  z.object({ status: z.literal('accepted') }),
  z.object({ status: z.literal('late'), round: count }),
  z.object({ status: z.literal('rejected'), code: z.enum(FL_ERROR_CODES), message: z.string(), round: count }),
]);
export type UploadVerdict = z.infer<typeof uploadVerdict>;

export const roundClosed = z.object({ runId: id, round: count, adapter: blobRef, summary: roundSummary });
export const removed = z.object({ reason: z.string() });
export const notice = z.object({ level: z.enum(['info', 'warning']), message: z.string() });

// ---- /admin ---- every command carries requestId; repeating one returns the first answer.
const requestId = z.string().min(8).max(64);
export const participantView = z.object({
  participantId: id,
  runId: id,
  name: z.string(),
  adapter: z.string(),
  connected: z.boolean(),
  lastSeenMs: count,
  progress: progress.nullable(),
  uploadedShare: z.number().min(0).max(1).nullable(),
  contributions: count,
  refusals: count,
});
export type ParticipantView = z.infer<typeof participantView>;
export const invitationView = z.object({
  invitationId: id,
  runId: id,
  expiresAtMs: count,
  maxUses: positive,
  uses: count,
  revoked: z.boolean(),
});
export type InvitationView = z.infer<typeof invitationView>;

/** Request and reply schemas of every admin command. */
export const adminCommands = {
  'runs:list': { request: z.object({}), reply: z.object({ runs: z.array(runView) }) },
  'models:list': {
    request: z.object({}),
    reply: z.object({
      models: z.array(modelRef),
      evaluations: z.array(z.object({ id, title: z.string(), rows: count })),
    }),
  },
  'run:get': {
    request: z.object({ runId: id }),
    reply: z.object({ run: runView, participants: z.array(participantView), invitations: z.array(invitationView) }),
  },
  'run:create': { request: z.object({ requestId, config: runConfig }), reply: z.object({ run: runView }) },
  'run:open': { request: z.object({ requestId, runId: id }), reply: z.object({ run: runView }) },
  'run:start': { request: z.object({ requestId, runId: id }), reply: z.object({ run: runView }) },
  'run:pause': { request: z.object({ requestId, runId: id }), reply: z.object({ run: runView }) },
  'run:resume': { request: z.object({ requestId, runId: id }), reply: z.object({ run: runView }) },
  'run:abort': { request: z.object({ requestId, runId: id }), reply: z.object({ run: runView }) },
  'participant:remove': {
    request: z.object({ requestId, participantId: id, reason: z.string().max(300) }),
    reply: z.object({}),
  },
  'invitation:create': {
    request: z.object({
      requestId,
      runId: id,
      maxUses: positive.max(100_000).default(100),
      ttlMs: positive.default(7 * 86_400_000),
    }),
    /** `url` holds the token and is shown this once. */
    reply: z.object({ invitation: invitationView, url: z.string() }),
  },
  'invitation:revoke': { request: z.object({ requestId, invitationId: id }), reply: z.object({}) },
} as const;
export type AdminCommand = keyof typeof adminCommands;

/** One entry of the admin event stream; `seq` grows by one, and `events:subscribe {fromSeq}` replays from any of them. */
export const adminEvent = z.discriminatedUnion('type', [
  z.object({ seq: count, atMs: count, type: z.literal('run'), run: runView }),
  z.object({ seq: count, atMs: count, type: z.literal('participant'), participant: participantView }),
  z.object({ seq: count, atMs: count, type: z.literal('progress'), participantId: id, progress }),
  z.object({ seq: count, atMs: count, type: z.literal('log'), runId: id, message: z.string() }),
]);
export type AdminEvent = z.infer<typeof adminEvent>;
