import type { AddressInfo } from 'node:net';
import {
  type AdminCommand,
  type AdminEvent,
  type adminCommands,
  FlError,
  type RunConfig,
  type RunState,
} from '@cotune/fl-core';
import { adapterLayout } from '@cotune/kernels';
import { createAdaptorServer } from '@hono/node-server';
import type { z } from 'zod';
import { type CommandContext, runCommand } from './admin/commands.ts';
import { createEventStream } from './admin/event-stream.ts';
import { createParticipantDirectory } from './admin/participants.ts';
import { openBlobStore } from './blobs/blob-store.ts';
import { openPartialFiles } from './blobs/partial-files.ts';
import { sweepUpdates, sweepUploads } from './blobs/sweep.ts';
import { type Clock, systemClock } from './clock.ts';
import { readConfig } from './config.ts';
import { assets, DEMO_EVALUATION_ID, DEMO_MODEL_ID, DEMO_PARTICIPANTS } from './demo/assets.ts';
import { createEffects } from './effects.ts';
import { createEvaluator } from './evaluator/evaluator.ts';
import { createHeldOutCatalog, type HeldOutFile } from './evaluator/held-out.ts';
import { createModelCatalog, type OfferedModel } from './evaluator/model-catalog.ts';
import { createApp } from './http/app.ts';
import { createMetrics } from './http/metrics.ts';
import { createSessions } from './http/sessions.ts';
import type { Log } from './log.ts';
import { openRun, type RunEngine } from './run-engine.ts';
import { serveAdmins } from './sockets/admin.ts';
import { createAdmission } from './sockets/admission.ts';
import { doorRules } from './sockets/origin.ts';
import { serveParticipants } from './sockets/participant.ts';
import { createPeers, type ParticipantNamespace } from './sockets/peers.ts';
import { createSocketServer } from './sockets/server.ts';
import { createUploads } from './sockets/uploads.ts';
import { ownerToken } from './store/accounts.ts';
import { openDatabase } from './store/database.ts';
import { createInvitation, usableInvitation } from './store/invitations.ts';
import { reserveSequence } from './store/requests.ts';
import { insertRun, listRuns, type StoredRun } from './store/runs.ts';
import { newId } from './store/tokens.ts';

export interface CoordinatorOptions {
  /** Database and blobs; made when missing. Only one coordinator may use it at a time. */
  readonly dataDir: string;
  /** 0 picks a free one. */
  readonly port: number;
  /** 127.0.0.1 by default; other machines reach the coordinator only when this says so. */
  readonly host?: string;
  /** Offers the embedded model, held-out set and participants' data. */
  readonly demo?: boolean;
  readonly models?: readonly OfferedModel[];
  readonly evaluations?: readonly HeldOutFile[];
  /** The built web app. */
  readonly webDir?: string | undefined;
  readonly log: Log;
  readonly clock?: Clock;
  /** Replaces the owner's token, ending all sessions; `ownerUrl` is then given again. */
  readonly newOwnerToken?: boolean;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

type Payload<C extends AdminCommand> = z.input<(typeof adminCommands)[C]['request']>;
type Reply<C extends AdminCommand> = z.infer<(typeof adminCommands)[C]['reply']>;

/** A running coordinator. */
export interface Coordinator {
  /** Base address for people, without a slash at the end. */
  readonly url: string;
  readonly port: number;
  /** The owner's link, at the first start on a data directory (or with `newOwnerToken`) only: afterwards nobody knows it. */
  readonly ownerUrl: string | null;
  /** An admin command in the owner's name, from this process. Throws FlError. */
  adminCall<C extends AdminCommand>(command: C, payload: Payload<C>): Promise<Reply<C>>;
  /** Follows the admin event stream; returns how to stop. */
  subscribe(listener: (event: AdminEvent) => void): () => void;
  /** Returns the join link. */
  createInvitation(runId: string, options?: { maxUses?: number; ttlMs?: number }): Promise<string>;
  /** Stops taking requests, lets acknowledged work finish for up to five seconds, and closes everything. */
  close(): Promise<void>;
}

const DRAIN_MS = 5000;
const SWEEP_INTERVAL_MS = 60_000;
const DAY_MS = 86_400_000;

/** Opens the data directory, takes up its runs where they stopped, and serves HTTP and sockets on one port. */
export async function startCoordinator(options: CoordinatorOptions): Promise<Coordinator> {
  const { log, dataDir, clock = systemClock, host = '127.0.0.1' } = options;
  const config = readConfig(options.env ?? process.env);
  const now = clock.now;
  const logError = (what: string) => (error: unknown) => log.error({ err: error }, what);

  const db = await openDatabase(dataDir);
  const blobs = await openBlobStore(db, dataDir, now);
  const partials = await openPartialFiles(dataDir);
  await blobs.clean();
  const token = await ownerToken(db, now(), options.newOwnerToken ?? false);

  const models = createModelCatalog([...(options.demo ? [demoModel()] : []), ...(options.models ?? [])]);
  const heldOut = createHeldOutCatalog([...(options.demo ? [demoEvaluation()] : []), ...(options.evaluations ?? [])]);
  const evaluator = createEvaluator({ models, heldOut, log });
  const admin = await createEventStream({ reserve: () => reserveSequence(db), now, onError: logError('event stream') });
  const directory = createParticipantDirectory({ db, now, admin, onError: logError('participant directory') });

  const engines = new Map<string, RunEngine>();
  let ready = false;
  const metrics = createMetrics({ participants: () => peers.count(), runs: () => engines.size });
  const sessions = createSessions({
    db,
    now,
    secure: config.publicUrl?.startsWith('https:') ?? false,
    loginsPerMinute: config.loginsPerMinute,
  });
  const rules = doorRules({ host, publicUrl: config.publicUrl, allowedOrigins: config.allowedOrigins });
  const app = createApp({
    rules,
    sessions,
    models,
    blobs,
    metrics,
    webDir: options.webDir,
    demoData: (ordinal) =>
      options.demo && ordinal >= 1 && ordinal <= DEMO_PARTICIPANTS ? assets.demoShard(ordinal) : undefined,
    async joinInfo(invitationToken) {
      const invitation = await usableInvitation(db, invitationToken, now());
      const run = engines.get(invitation.run_id);
      if (!run) throw new FlError('not-found', 'the run of this invitation is gone');
      return { run: run.view(), model: await models.ref(run.state().config.modelId) };
    },
    ready: () => ready,
    log,
  });
  const http = createAdaptorServer({ fetch: app.fetch }) as import('node:http').Server;
  http.headersTimeout = 10_000;
  http.requestTimeout = 60_000;
  const io = createSocketServer(http, rules);
  const participantNamespace = io.of('/participant') as unknown as ParticipantNamespace;
  const peers = createPeers(participantNamespace);

  const neededUpdates = () => {
    const needed = new Set<string>();
    for (const run of engines.values()) {
      for (const update of run.state().current?.updates ?? []) needed.add(update.blob.sha256);
    }
    return needed;
  };
  const effects = createEffects({
    blobs,
    clock,
    log,
    peers,
    models,
    evaluator,
    admin,
    async dropUpdates(sha256s) {
      const needed = neededUpdates();
      for (const sha256 of sha256s) if (!needed.has(sha256)) await blobs.remove(sha256);
    },
  });
  const open = async (stored: StoredRun): Promise<RunEngine> => {
    const run = await openRun({
      db,
      stored,
      now,
      log,
      perform: effects.perform,
      onEvent(engine, event) {
        metrics.events.inc({ type: event.type });
        const participantId =
          event.type === 'uploaded'
            ? event.update.participantId
            : 'participantId' in event
              ? event.participantId
              : null;
        if (participantId) directory.publish(engine, participantId).catch(logError('participant event'));
      },
    });
    engines.set(stored.runId, run);
    return run;
  };

  for (const stored of await listRuns(db)) await open(stored);
  await sweepUpdates({ db, blobs, neededUpdates: neededUpdates() });
  const sweepOpen = () => sweepUploads({ db, partials, beforeMs: now() - config.uploadTtlMs });
  await sweepOpen();
  const sweeper = setInterval(() => sweepOpen().catch(logError('sweep')), SWEEP_INTERVAL_MS);
  sweeper.unref();

  let url = '';
  const context: CommandContext = {
    db,
    now,
    models,
    heldOut,
    directory,
    runs: () => [...engines.values()],
    async createRun(runConfig: RunConfig) {
      const stored = { runId: newId('run'), config: runConfig, createdAtMs: now() };
      await insertRun(db, stored);
      const run = await open(stored);
      admin.push({ type: 'run', run: run.view() });
      return run;
    },
    joinUrl: (invitationToken) => `${url}/join/${invitationToken}`,
  };
  const adapterLength = async (state: RunState): Promise<number> => {
    const files = await models.files(state.config.modelId);
    if (!files) throw new FlError('not-found', `model "${state.config.modelId}" is not offered here any more`);
    return adapterLayout(files.manifest.architecture, state.config.lora).length;
  };
  const uploads = createUploads({
    db,
    blobs,
    partials,
    now,
    maxOpenUploadBytes: config.maxOpenUploadBytes,
    adapterLength,
  });
  const run = (runId: string) => engines.get(runId);
  serveParticipants(participantNamespace, {
    admission: createAdmission({ db, now, run }),
    peers,
    uploads,
    directory,
    run,
    modelRef: models.ref,
    eventsPerSecond: config.eventsPerSecond,
    now,
    log,
  });
  serveAdmins(io.of('/admin'), {
    context,
    stream: admin,
    authenticate: sessions.authenticate,
    eventsPerSecond: config.eventsPerSecond,
    now,
    log,
  });

  // Before anybody can connect: it marks everyone as gone and issues what the last process left undone.
  for (const engine of engines.values()) await engine.dispatch({ type: 'recovered' });
  await new Promise<void>((resolve, reject) => {
    http.once('error', reject);
    http.listen(options.port, host, resolve);
  });
  const { port } = http.address() as AddressInfo;
  url =
    config.publicUrl ?? `http://${host.includes(':') ? `[${host}]` : host === '0.0.0.0' ? '127.0.0.1' : host}:${port}`;
  ready = true;
  log.info({ url, runs: engines.size, dataDir }, 'coordinator is listening');

  return {
    url,
    port,
    ownerUrl: token === null ? null : `${url}/admin#owner=${token}`,
    adminCall: (command, payload) => runCommand(context, { role: 'owner', actor: 'this process' }, command, payload),
    subscribe: admin.subscribe,
    async createInvitation(runId, { maxUses = 100, ttlMs = 7 * DAY_MS } = {}) {
      if (!engines.has(runId)) throw new FlError('not-found', `unknown run "${runId}"`);
      return context.joinUrl((await createInvitation(db, { runId, maxUses, expiresAtMs: now() + ttlMs })).token);
    },
    async close() {
      if (!ready) return;
      ready = false;
      clearInterval(sweeper);
      const drained = (async () => {
        await effects.close();
        await Promise.all([...engines.values()].map((engine) => engine.close()));
        await io.close();
        await evaluator.close();
      })();
      await Promise.race([drained, new Promise((resolve) => setTimeout(resolve, DRAIN_MS).unref())]);
      http.closeAllConnections();
      await db.destroy();
    },
  };
}

const demoModel = (): OfferedModel => ({
  id: DEMO_MODEL_ID,
  title: 'Cotune demo model (1 M parameters)',
  dir: assets.demoModel(),
  allowSoftware: true,
});

const demoEvaluation = (): HeldOutFile => ({
  id: DEMO_EVALUATION_ID,
  title: 'Demo: held-out news sentiment',
  file: assets.demoTest(),
});
