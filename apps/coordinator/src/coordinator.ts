import type { Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type AdminCommand, type AdminEvent, type adminCommands, FlError, type RunConfig } from '@cotune/fl-core';
import { type FileSource, readPeft } from '@cotune/kernels';
import { createAdaptorServer } from '@hono/node-server';
import type { z } from 'zod';
import { type CommandContext, runCommand } from './admin/commands.ts';
import { sweepUploads } from './blobs/sweep.ts';
import { type Clock, systemClock } from './clock.ts';
import { readConfig } from './config.ts';
import { assets, DEMO_PARTICIPANTS } from './demo/assets.ts';
import type { HeldOutFile } from './evaluator/held-out.ts';
import type { OfferedModel } from './evaluator/model-catalog.ts';
import { createApp } from './http/app.ts';
import { createMetrics } from './http/metrics.ts';
import { createSessions } from './http/sessions.ts';
import type { Log } from './log.ts';
import { openRuns, type Runs } from './runs.ts';
import { adapterLength, openServices } from './services.ts';
import { serveAdmins } from './sockets/admin.ts';
import { createAdmission } from './sockets/admission.ts';
import { doorRules } from './sockets/origin.ts';
import { serveParticipants } from './sockets/participant.ts';
import { createPeers, type ParticipantNamespace } from './sockets/peers.ts';
import { createSocketServer } from './sockets/server.ts';
import { createUploads } from './sockets/uploads.ts';
import { putStartAdapter } from './start-adapter.ts';
import { ownerToken } from './store/accounts.ts';
import { createInvitation, usableInvitation } from './store/invitations.ts';

export interface CoordinatorOptions {
  /** Database and blobs; made when missing. One coordinator at a time may use it. */
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
  /** process.env by default; docs/configuration.md lists what is read. */
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
  /**
   * Keeps a PEFT adapter for a run to start from; returns what its `startAdapter` is to be. Throws FlError 'not-found' for an
   * unknown model, 'wrong-shape' when the run's LoRA settings are others, ModelFileError as `readPeft` does.
   */
  addStartAdapter(files: FileSource, config: Pick<RunConfig, 'modelId' | 'lora'>): Promise<string>;
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
  const {
    log,
    clock = systemClock,
    host = '127.0.0.1',
    demo = false,
    models: offered = [],
    evaluations = [],
  } = options;
  const config = readConfig(options.env ?? process.env);
  const { now } = clock;
  const services = await openServices({ dataDir: options.dataDir, demo, models: offered, evaluations, clock, log });
  const { db, blobs, partials, models, admin, directory, logError } = services;

  let url = '';
  let ready = false;
  let runs: Runs | undefined;
  const run = (runId: string) => runs?.get(runId);
  const sessions = createSessions({
    db,
    now,
    secure: config.publicUrl?.startsWith('https:') ?? false,
    loginsPerMinute: config.loginsPerMinute,
  });
  const rules = doorRules({ host, publicUrl: config.publicUrl, allowedOrigins: config.allowedOrigins });
  const metrics = createMetrics({ participants: () => peers.count(), runs: () => runs?.list().length ?? 0 });
  const app = createApp({
    ...services,
    rules,
    sessions,
    metrics,
    webDir: options.webDir,
    demoData: (ordinal) =>
      demo && ordinal >= 1 && ordinal <= DEMO_PARTICIPANTS ? assets.demoShard(ordinal) : undefined,
    async joinInfo(invitation) {
      const { run_id: runId } = await usableInvitation(db, invitation, now());
      const engine = run(runId);
      if (!engine) throw new FlError('not-found', 'the run of this invitation is gone');
      return { run: engine.view(), model: await models.ref(engine.state().config.modelId) };
    },
    sharesState: (sha256) => runs?.sharesState(sha256) ?? false,
    ready: () => ready,
  });
  const http = createAdaptorServer({ fetch: app.fetch }) as HttpServer;
  http.headersTimeout = 10_000;
  http.requestTimeout = 60_000;
  const io = createSocketServer(http, rules);
  const participants = io.of('/participant') as unknown as ParticipantNamespace;
  const peers = createPeers(participants);

  runs = await openRuns(services, peers, (event) => metrics.events.inc({ type: event.type }));
  const all = runs;
  const context: CommandContext = {
    ...services,
    now,
    runs: all.list,
    createRun: all.create,
    joinUrl: (invitation) => `${url}/join/${invitation}`,
    underWay: new Map(),
    secretReplies: new Map(),
  };
  const uploads = createUploads({
    db,
    blobs,
    partials,
    now,
    maxOpenUploadBytes: config.maxOpenUploadBytes,
    dropUpdates: all.dropUpdates,
    adapterLength: (state) => adapterLength(services, state),
  });
  const { eventsPerSecond } = config;
  const admission = createAdmission({ db, now, run, modelRef: models.ref });
  const shared = { eventsPerSecond, now, log };
  serveParticipants(participants, {
    ...shared,
    admission,
    peers,
    uploads,
    directory,
    run,
    metrics,
    modelRef: models.ref,
  });
  serveAdmins(io.of('/admin'), { ...shared, context, stream: admin, authenticate: sessions.authenticate });

  const sweep = () => sweepUploads({ db, partials, beforeMs: now() - config.uploadTtlMs });
  await sweep();
  const sweeper = setInterval(() => sweep().catch(logError('sweep')), SWEEP_INTERVAL_MS);
  sweeper.unref();

  await all.recover();
  const { port } = await listen(http, options.port, host).catch(async (error: unknown) => {
    clearInterval(sweeper);
    await Promise.all([all.close(), services.evaluator.close()]);
    await services.close();
    throw error;
  });
  // Not before: of a start that fails nobody would hear the link, and a replaced one would be void for nothing.
  const token = await ownerToken(db, now(), options.newOwnerToken ?? false);
  url = config.publicUrl ?? addressFor(host, port);
  ready = true;
  log.info({ url, runs: all.list().length, dataDir: options.dataDir }, 'coordinator is listening');

  return {
    url,
    port,
    ownerUrl: token === null ? null : `${url}/admin#owner=${token}`,
    adminCall: (command, payload) => runCommand(context, { role: 'owner', actor: 'this process' }, command, payload),
    subscribe: admin.subscribe,
    async addStartAdapter(files, of) {
      const { config: architecture } = await models.open(of.modelId);
      return (await putStartAdapter(await readPeft(files, architecture), of, blobs)).sha256;
    },
    async createInvitation(runId, { maxUses = 100, ttlMs = 7 * DAY_MS } = {}) {
      if (!run(runId)) throw new FlError('not-found', `unknown run "${runId}"`);
      return context.joinUrl((await createInvitation(db, { runId, maxUses, expiresAtMs: now() + ttlMs })).token);
    },
    async close() {
      if (!ready) return;
      ready = false;
      clearInterval(sweeper);
      const quiet = io.close(); // also the HTTP server, which waits for downloads
      const drained = Promise.all([quiet, all.close().then(() => services.evaluator.close())]);
      await Promise.race([drained, new Promise((resolve) => setTimeout(resolve, DRAIN_MS).unref())]);
      http.closeAllConnections();
      await services.close();
    },
  };
}

function listen(http: HttpServer, port: number, host: string): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    http.once('error', reject);
    http.listen(port, host, () => resolve(http.address() as AddressInfo));
  });
}

/** An address that works on this machine; 0.0.0.0 and :: are none. */
function addressFor(host: string, port: number): string {
  if (host === '0.0.0.0' || host === '::') return `http://127.0.0.1:${port}`;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
