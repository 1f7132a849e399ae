import { z } from 'zod';
import { algorithmSettings } from '../algorithms/registry.ts';
import { FL_ERROR_CODES } from '../error.ts';
import { count, finite, id, positive, sha256 } from './fields.ts';
import { blobRef, modelRef, optimizerState, rewards, roundSummary, runView, seeding } from './run-schema.ts';

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
  /** `kept`: AdamW goes on from what the participant has kept of the round that `counted` names; fresh where it has nothing. */
  optimizerState,
  /** Seeds dropout and, when `seeding` is `run`, the order of examples; derived from run seed, round and the participant's ordinal. */
  seed: count,
  /** Which examples, in which order: shuffled passes from `seed`, or what Python's generator samples when seeded with the round. */
  seeding,
  algorithm: algorithmSettings,
});
export type TrainPlan = z.infer<typeof trainPlan>;
export const roundOffer = z.object({
  runId: id,
  round: count,
  attempt: count,
  deadlineMs: count,
  adapter: blobRef,
  /** The server state that the algorithm shares (encodeAlgorithmState); null before the first round and where it shares none. */
  algorithmState: blobRef.nullable(),
  /** The adapter of DPO's reference model; null where that is the base model alone, and for other tasks. */
  reference: blobRef.nullable(),
  /** sha256 of this participant's last update that went into the model, null while none has: the state after it is what its client carries on. */
  counted: sha256.nullable(),
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
  /** Mean over this round's steps so far; preference pairs only. */
  rewards: rewards.optional(),
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
  metrics: z.object({ lossNats: finite.nullable(), steps: count, trainingMs: count, rewards: rewards.optional() }),
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
