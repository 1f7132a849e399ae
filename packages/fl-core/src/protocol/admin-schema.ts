import { z } from 'zod';
import { count, id, positive } from './fields.ts';
import { progress } from './participant-schema.ts';
import { modelRef, runConfig, runView } from './run-schema.ts';

// Every command carries requestId; repeating one returns the first answer.
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
