import { type AdminCommand, adminCommands, canApply, FlError, impossibleSettings, type RunView } from '@cotune/fl-core';
import type { z } from 'zod';
import type { BlobStore } from '../blobs/blob-store.ts';
import type { HeldOutCatalog } from '../evaluator/held-out.ts';
import type { ModelCatalog } from '../evaluator/model-catalog.ts';
import { inTurn } from '../in-turn.ts';
import type { EventBody, RunEngine } from '../run-engine.ts';
import { requireStartAdapter } from '../start-adapter.ts';
import { allows } from '../store/accounts.ts';
import { appendAudit } from '../store/audit.ts';
import type { Db } from '../store/database.ts';
import { createInvitation, invitationsOfRun, revokeInvitation } from '../store/invitations.ts';
import { participantById } from '../store/participants.ts';
import { storedReply, storeReply } from '../store/requests.ts';
import type { Role } from '../store/schema.ts';
import type { ParticipantDirectory } from './participants.ts';

export interface CommandContext {
  readonly db: Db;
  readonly now: () => number;
  readonly models: ModelCatalog;
  readonly blobs: BlobStore;
  readonly heldOut: HeldOutCatalog;
  readonly directory: ParticipantDirectory;
  readonly runs: () => readonly RunEngine[];
  readonly createRun: (config: Request<'run:create'>['config']) => Promise<RunEngine>;
  readonly joinUrl: (token: string) => string;
  /** Requests being carried out, by id. */
  readonly underWay: Map<string, Promise<unknown>>;
  /** Answers that hold a secret, by request id: in this process's memory alone. */
  readonly secretReplies: Map<string, unknown>;
}

type Request<C extends AdminCommand> = z.output<(typeof adminCommands)[C]['request']>;
type Reply<C extends AdminCommand> = z.infer<(typeof adminCommands)[C]['reply']>;

interface Command<C extends AdminCommand> {
  /** The least role that may give it. */
  readonly role: Role;
  /** The reply holds a secret: it is never stored, so that repeating the request after a restart is refused instead of answered. */
  readonly secret?: true;
  run(context: CommandContext, request: Request<C>): Promise<Reply<C>>;
}

const engineOf = (context: CommandContext, runId: string): RunEngine => {
  const found = context.runs().find((run) => run.runId === runId);
  if (!found) throw new FlError('not-found', `unknown run "${runId}"`);
  return found;
};

const step =
  (event: EventBody) =>
  async (context: CommandContext, { runId }: { runId: string }): Promise<{ run: RunView }> => {
    const engine = engineOf(context, runId);
    await engine.dispatch(event, { strict: true });
    return { run: engine.view() };
  };

/** Every admin command with its role; the namespace, the in-process API and the authorisation tests are derived from it. */
export const COMMANDS: { readonly [C in AdminCommand]: Command<C> } = {
  'runs:list': {
    role: 'viewer',
    run: async (context) => ({ runs: context.runs().map((run) => run.view()) }),
  },
  'models:list': {
    role: 'viewer',
    run: async ({ models, heldOut }) => ({ models: await models.list(), evaluations: await heldOut.list() }),
  },
  'run:get': {
    role: 'viewer',
    async run(context, { runId }) {
      const engine = engineOf(context, runId);
      const participants = await context.directory.views(engine);
      return { run: engine.view(), participants, invitations: await invitationsOfRun(context.db, runId) };
    },
  },
  'run:create': {
    role: 'operator',
    async run(context, { config }) {
      await context.models.ref(config.modelId);
      const [wrong] = impossibleSettings(config);
      if (wrong) throw new FlError('invalid', `${wrong.path}: ${wrong.message}`);
      await context.models.requireTemplate(config.modelId, config.template);
      await requireStartAdapter(config, context);
      if (config.evaluationId !== undefined) await context.heldOut.requireRows(config.evaluationId, config.task);
      return { run: (await context.createRun(config)).view() };
    },
  },
  'run:open': { role: 'operator', run: step({ type: 'opened' }) },
  'run:start': { role: 'operator', run: step({ type: 'starting' }) },
  'run:pause': { role: 'operator', run: step({ type: 'paused', reason: 'paused by the operator' }) },
  'run:resume': { role: 'operator', run: step({ type: 'resumed' }) },
  'run:abort': { role: 'operator', run: step({ type: 'aborted', reason: 'stopped by the operator' }) },
  'participant:remove': {
    role: 'operator',
    async run(context, { participantId, reason }) {
      const row = await participantById(context.db, participantId);
      if (!row) throw new FlError('not-found', `unknown participant "${participantId}"`);
      await engineOf(context, row.run_id).dispatch({ type: 'removed', participantId, reason }, { strict: true });
      return {};
    },
  },
  'invitation:create': {
    role: 'operator',
    secret: true,
    async run(context, { runId, maxUses, ttlMs }) {
      const engine = engineOf(context, runId);
      const newcomer = { type: 'joined', participantId: 'somebody', name: '', atMs: context.now() } as const;
      const refusal = engine.state().phase === 'draft' ? null : canApply(engine.state(), newcomer);
      if (refusal?.code === 'wrong-state') throw refusal; // nobody could use it any more
      const expiresAtMs = context.now() + ttlMs;
      const { token, invitation } = await createInvitation(context.db, { runId, maxUses, expiresAtMs });
      return { invitation, url: context.joinUrl(token) };
    },
  },
  'invitation:revoke': {
    role: 'operator',
    async run({ db }, { invitationId }) {
      if (!(await revokeInvitation(db, invitationId))) {
        throw new FlError('not-found', `unknown invitation "${invitationId}"`);
      }
      return {};
    },
  },
};

/** Runs a command for somebody with `role`: parse, authorise, once per request id, audit. Throws FlError. */
export async function runCommand<C extends AdminCommand>(
  context: CommandContext,
  caller: { role: Role; actor: string },
  name: C,
  payload: unknown,
): Promise<Reply<C>> {
  const command: Command<C> = COMMANDS[name];
  if (!allows(caller.role, command.role)) {
    throw new FlError('forbidden', `${name} needs the role ${command.role}; you are ${caller.role}`);
  }
  const parsed = adminCommands[name].request.safeParse(payload);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new FlError('invalid', `${name}: ${issue?.path.join('.') || 'payload'}: ${issue?.message ?? 'malformed'}`);
  }
  const request = parsed.data as Request<C>;
  const requestId = 'requestId' in request ? String(request.requestId) : undefined;
  if (requestId === undefined) return command.run(context, request);
  // A repetition that arrives meanwhile then finds the stored answer.
  return inTurn(context.underWay, requestId, async () => {
    const earlier = await storedReply(context.db, requestId);
    if (earlier && earlier.command !== name) {
      throw new FlError('duplicate', `request ${requestId} was a ${earlier.command}: use a new requestId`);
    }
    const secret = context.secretReplies.get(requestId);
    if (secret !== undefined) return secret as Reply<C>;
    if (earlier?.reply === null) {
      throw new FlError('duplicate', 'this request was carried out before and its answer, a secret, was not kept');
    }
    if (earlier?.reply) return JSON.parse(earlier.reply) as Reply<C>;
    const reply = await command.run(context, request);
    if (command.secret) rememberSecret(context.secretReplies, requestId, reply);
    const atMs = context.now();
    await context.db.transaction().execute(async (trx) => {
      const json = command.secret ? null : JSON.stringify(reply);
      await storeReply(trx, { requestId, command: name, reply: json, atMs });
      const { requestId: _id, ...detail } = request as Record<string, unknown>;
      await appendAudit(trx, { atMs, actor: caller.actor, action: name, detail });
    });
    return reply;
  });
}

const SECRETS_REMEMBERED = 1000;

function rememberSecret(replies: Map<string, unknown>, requestId: string, reply: unknown): void {
  replies.set(requestId, reply);
  const [oldest] = replies.keys();
  if (replies.size > SECRETS_REMEMBERED && oldest !== undefined) replies.delete(oldest);
}
