import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type AdminEvent,
  createParticipant,
  type LocalTrainer,
  type Participant,
  type ParticipantActivity,
  type ParticipantStorage,
  PROTOCOL_VERSION,
  type RunConfigInput,
  type RunView,
  runConfig,
} from '@cotune/fl-core';
import { io, type Socket } from 'socket.io-client';
import { afterAll, afterEach, beforeAll } from 'vitest';
import { type Coordinator, type CoordinatorOptions, startCoordinator } from '../src/coordinator.ts';
import { createLog } from '../src/log.ts';
import { type ParticipantSocket, socketTransport } from '../src/participant/transport.ts';
import { tinyModelFiles, writeHeldOut, writeTinyModel } from './tiny-model.ts';

let root = '';
const coordinators: Coordinator[] = [];
const sockets: Socket[] = [];

/** One temporary directory with the tiny model for each test file; everything opened by a test is closed after it. */
export function useHarness(): void {
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'cotune-test-'));
    await writeTinyModel(tinyModelFiles(root).dir);
    await writeHeldOut(tinyModelFiles(root).heldOut);
  });
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.disconnect();
    await Promise.all(coordinators.splice(0).map((one) => one.close()));
  });
  afterAll(() => rm(root, { recursive: true, force: true }));
}

export const newDataDir = () => mkdtemp(join(root, 'data-'));
export const heldOutFile = () => tinyModelFiles(root).heldOut;
export const modelDir = () => tinyModelFiles(root).dir;

export async function start(options: Partial<CoordinatorOptions> = {}): Promise<Coordinator> {
  const coordinator = await startCoordinator({
    dataDir: options.dataDir ?? (await newDataDir()),
    port: 0,
    models: [{ id: 'tiny', title: 'Tiny', dir: modelDir() }],
    evaluations: [{ id: 'colours', title: 'Colours', file: heldOutFile() }],
    log: createLog(process.env.COTUNE_LOG_LEVEL ?? 'silent'),
    env: { COTUNE_EVENTS_PER_SECOND: '1000' },
    ...options,
  });
  coordinators.push(coordinator);
  return coordinator;
}

/** For `expect.poll` of what takes moments on an idle machine and seconds on a busy one. */
export const PATIENT = { timeout: 20_000 };

export const requestId = () => crypto.randomUUID();

/** Creates and opens a run, and returns an invitation's token with it. */
export async function openRun(
  coordinator: Coordinator,
  overrides: Partial<RunConfigInput> = {},
): Promise<{ runId: string; token: string }> {
  const config = runConfig.parse({
    name: 'test',
    modelId: 'tiny',
    algorithm: { id: 'fedavg' },
    template: 'plain',
    rounds: 2,
    steps: 2,
    batchSize: 2,
    maxSeqLength: 32,
    learningRate: 1e-2,
    lora: { rank: 2, alpha: 4, targets: ['q_proj', 'v_proj', 'down_proj'] },
    participants: { min: 2, max: 10 },
    autoStart: true,
    roundDeadlineMs: 60_000,
    graceMs: 5000,
    ...overrides,
  });
  const { run } = await coordinator.adminCall('run:create', { requestId: requestId(), config });
  await coordinator.adminCall('run:open', { requestId: requestId(), runId: run.runId });
  const url = await coordinator.createInvitation(run.runId);
  return { runId: run.runId, token: url.slice(url.lastIndexOf('/') + 1) };
}

/** Resolves with the run when the predicate holds; rejects when it ended in another way, or after a while. */
export function untilRun(
  coordinator: Coordinator,
  runId: string,
  holds: (run: RunView) => boolean = (run) => run.phase === 'finished',
): Promise<RunView> {
  return new Promise((resolve, reject) => {
    let last: RunView | undefined;
    const timer = setTimeout(() => done(() => reject(new Error(`the run stopped at ${JSON.stringify(last)}`))), 40_000);
    const done = (settle: () => void) => {
      clearTimeout(timer);
      unsubscribe();
      settle();
    };
    const see = (run: RunView) => {
      last = run;
      if (holds(run)) done(() => resolve(run));
      else if (run.phase === 'aborted' || run.phase === 'failed')
        done(() => reject(new Error(`${run.phase}: ${run.reason}`)));
    };
    const unsubscribe = coordinator.subscribe((event: AdminEvent) => {
      if (event.type === 'run' && event.run.runId === runId) see(event.run);
    });
    coordinator.adminCall('run:get', { runId }).then(({ run }) => see(run), reject);
  });
}

export const CLIENT = { name: 'tester', adapter: 'none', features: [] };

/** A raw socket of a namespace, not connected yet; closed after the test. */
export function socketTo(coordinator: { url: string }, namespace: string, auth: object, options: object = {}): Socket {
  const socket = io(`${coordinator.url}${namespace}`, {
    transports: ['websocket'],
    forceNew: true,
    reconnection: false,
    autoConnect: false,
    auth,
    ...options,
  });
  sockets.push(socket);
  return socket;
}

/** Connects and resolves with the first occurrence of `event`; rejects with the refusal's {code, message}. */
export function connected<T>(socket: Socket, event: string): Promise<T> {
  return new Promise((resolve, reject) => {
    socket.once(event, resolve);
    socket.once('connect_error', (error: Error & { data?: object }) => reject(error.data ?? error));
    socket.connect();
  });
}

export const hello = (token: string, name = CLIENT.name) => ({
  protocol: PROTOCOL_VERSION,
  token,
  client: { ...CLIENT, name },
});

export function memoryStorage(values = new Map<string, Uint8Array>()): ParticipantStorage {
  return {
    get: async (key) => values.get(key),
    set: async (key, value) => void values.set(key, value),
    delete: async (key) => void values.delete(key),
  };
}

/**
 * Deterministic training without a GPU: a different, seeded direction for every participant and round, against the rule's
 * drift, and half as far again as before where the optimiser's state says how far that was.
 */
export const seededTrainer = (name: string): LocalTrainer => ({
  async train({ weights, seed, steps, learningRate, rule, optimizer, onStep }) {
    const against = (i: number) => steps * learningRate * (rule.drift?.[i] ?? 0);
    const again = (i: number) => (optimizer?.m[i] ?? 0) / 2;
    const trained = weights.map(
      (w, i) => w + 0.01 * Math.sin(i + 1 + (seed % 97) + name.length) - against(i) + again(i),
    );
    for (let step = 1; step <= steps; step++)
      onStep({ step, lossNats: 2 / step, gradNorm: 1, tokensPerSecond: 100, ms: 1 });
    const m = trained.map((w, i) => w - (weights[i] ?? 0));
    return { weights: trained, optimizer: { m, v: m.map((one) => one ** 2), t: (optimizer?.t ?? 0) + steps } };
  },
});

export interface TestParticipant {
  readonly socket: ParticipantSocket;
  readonly participant: Participant;
  readonly activities: ParticipantActivity[];
  resumeToken(): string | undefined;
}

/** A whole participant over a real socket; reconnects by itself unless told otherwise. */
export function joinRun(
  coordinator: { url: string },
  token: string,
  options: {
    name: string;
    trainer?: LocalTrainer;
    examples?: number;
    storage?: ParticipantStorage;
    reconnection?: boolean;
  },
): TestParticipant {
  let resumeToken: string | undefined;
  const {
    name,
    trainer = seededTrainer(name),
    examples = 10,
    storage = memoryStorage(),
    reconnection = true,
  } = options;
  const auth = (send: (data: object) => void) => send(hello(resumeToken ?? token, name));
  const socket = socketTo(coordinator, '/participant', auth, {
    reconnection,
    reconnectionDelay: 50,
    reconnectionDelayMax: 100,
  }) as unknown as ParticipantSocket;
  const activities: ParticipantActivity[] = [];
  const participant = createParticipant({
    trainer,
    transport: socketTransport(socket, coordinator.url),
    storage,
    examples,
    now: Date.now,
    onActivity: (activity) => activities.push(activity),
  });
  socket.on('welcome', (welcome) => {
    resumeToken = welcome.resumeToken;
    participant.onWelcome(welcome);
  });
  socket.on('round:offer', (offer) => participant.onOffer(offer));
  socket.on('run:state', (run) => participant.onRunState(run));
  socket.on('removed', ({ reason }) => participant.onRemoved(reason));
  socket.on('disconnect', () => participant.onDisconnect());
  socket.connect();
  return { socket, participant, activities, resumeToken: () => resumeToken };
}

/** Acknowledgement of an event on a raw socket. */
export type Answer = { ok: true; value: never } | { ok: false; code: string; message: string };
export const ask = (socket: Socket, event: string, ...args: unknown[]): Promise<Answer> =>
  socket.timeout(5000).emitWithAck(event, ...args) as Promise<Answer>;
