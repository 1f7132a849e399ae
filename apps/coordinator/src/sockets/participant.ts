import {
  clientInfo,
  FlError,
  type ModelRef,
  PROTOCOL_VERSION,
  progress as progressPayload,
  roundAccept,
  roundDecline,
  uploadChunk,
  uploadCommit,
  uploadOpen,
} from '@cotune/fl-core';
import { z } from 'zod';
import type { ParticipantDirectory } from '../admin/participants.ts';
import type { Metrics } from '../http/metrics.ts';
import type { Log } from '../log.ts';
import type { RunEngine } from '../run-engine.ts';
import type { Admission } from './admission.ts';
import { type EventHandler, guard, on } from './guard.ts';
import type { ParticipantNamespace, ParticipantSocket, Peers } from './peers.ts';
import type { UploadService } from './uploads.ts';

export interface ParticipantServices {
  readonly admission: Admission;
  readonly peers: Peers;
  readonly uploads: UploadService;
  readonly directory: ParticipantDirectory;
  readonly run: (runId: string) => RunEngine | undefined;
  readonly modelRef: (modelId: string) => Promise<ModelRef>;
  readonly metrics: Metrics;
  readonly eventsPerSecond: number;
  readonly now: () => number;
  readonly log: Log;
}

const LEAST_PROGRESS_INTERVAL_MS = 400;
// The version comes first, so that a client of another version hears just that.
const hello = z.object({ protocol: z.number() });
const credentials = z.object({ token: z.string().min(1).max(200), client: clientInfo });

/** The handshake, the events of a participant, and its end. */
export function serveParticipants(namespace: ParticipantNamespace, services: ParticipantServices): void {
  const { admission, log } = services;

  namespace.use((socket, next) => {
    admit(socket as ParticipantSocket, admission).then(
      () => {
        expectSocket(socket as ParticipantSocket, services);
        next();
      },
      (error: unknown) => {
        const known = error instanceof FlError;
        if (!known) log.error({ err: error }, 'handshake failed');
        const code = known ? error.code : 'internal';
        const message = known ? error.message : 'the coordinator failed to admit you; its log says why';
        next(Object.assign(new Error(message), { data: { code, message } }));
      },
    );
  });

  namespace.on('connection', (socket: ParticipantSocket) => {
    welcome(socket, services).catch((error: unknown) => {
      log.error({ err: error }, 'welcome failed');
      socket.disconnect(true);
    });
  });
}

async function admit(socket: ParticipantSocket, admission: Admission): Promise<void> {
  const { auth } = socket.handshake;
  const greeting = hello.safeParse(auth);
  if (!greeting.success || greeting.data.protocol !== PROTOCOL_VERSION) {
    const got = greeting.success ? greeting.data.protocol : 'none';
    throw new FlError('version', `got protocol ${got}, expected ${PROTOCOL_VERSION}: reload the page or update Cotune`);
  }
  const parsed = credentials.safeParse(auth);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new FlError('invalid', `handshake: ${issue?.path.join('.')}: ${issue?.message ?? 'malformed'}`);
  }
  Object.assign(socket.data, await admission.admit(parsed.data));
}

const CONNECT_GRACE_MS = 5000;

/** A client may vanish between being admitted and being connected; then nothing else would say that it is gone. */
function expectSocket(socket: ParticipantSocket, { peers, run, log }: ParticipantServices): void {
  const { participantId, runId } = socket.data;
  const check = () => {
    if (peers.has(participantId)) return;
    run(runId)
      ?.dispatch({ type: 'disconnected', participantId })
      .catch((error: unknown) => log.debug({ err: error }, 'disconnect'));
  };
  setTimeout(check, CONNECT_GRACE_MS).unref();
}

async function welcome(socket: ParticipantSocket, services: ParticipantServices): Promise<void> {
  const { peers, directory, log, now } = services;
  const { participantId, runId, resumeToken } = socket.data;
  const run = services.run(runId);
  if (!run) throw new FlError('not-found', `run ${runId} is gone`);
  const model = await services.modelRef(run.state().config.modelId);
  if (!socket.connected) return;

  socket.on('disconnect', () => {
    if (!peers.detach(socket)) return; // another tab took over
    directory.seen(participantId);
    run
      .dispatch({ type: 'disconnected', participantId })
      .catch((error: unknown) => log.debug({ err: error }, 'disconnect'));
  });
  guard(socket, participantEvents(run, participantId, services), {
    eventsPerSecond: services.eventsPerSecond,
    now,
    log,
  });
  socket.emit('welcome', { runId, participantId, resumeToken, run: run.view(), model });
  peers.attach(socket);
  directory.seen(participantId);
  await run.dispatch({ type: 'connected', participantId });
}

function participantEvents(
  run: RunEngine,
  participantId: string,
  { uploads, directory, metrics, now }: ParticipantServices,
): Record<string, EventHandler> {
  let lastProgressMs = 0;
  const ownRun = (runId: string) => {
    if (runId !== run.runId)
      throw new FlError('forbidden', `got run ${runId}, expected ${run.runId}, which you joined`);
  };
  return {
    'round:accept': on(roundAccept, async ({ runId, round, attempt }) => {
      ownRun(runId);
      await run.dispatch({ type: 'accepted', participantId, round, attempt }, { strict: true });
      return null;
    }),
    'round:decline': on(roundDecline, async ({ runId, round, attempt, reason }) => {
      ownRun(runId);
      await run.dispatch({ type: 'declined', participantId, round, attempt, reason }, { strict: true });
      return null;
    }),
    progress: on(progressPayload, async (payload) => {
      ownRun(payload.runId);
      if (now() - lastProgressMs < LEAST_PROGRESS_INTERVAL_MS) return null; // volatile: dropping one is fine
      lastProgressMs = now();
      directory.progress(run, participantId, payload);
      return null;
    }),
    'upload:open': on(uploadOpen, async (payload) => {
      ownRun(payload.runId);
      return uploads.open(run, participantId, payload);
    }),
    'upload:chunk': on(
      uploadChunk,
      async (payload, bytes) => {
        const { share } = await uploads.chunk(participantId, payload, bytes);
        metrics.uploadedBytes.inc(bytes?.byteLength ?? 0);
        directory.uploaded(run, participantId, share);
        return null;
      },
      { free: true },
    ),
    'upload:commit': on(uploadCommit, async ({ uploadId }) => {
      const verdict = await uploads.commit(run, participantId, uploadId);
      metrics.verdicts.inc({ status: verdict.status });
      directory.uploaded(run, participantId, null);
      return verdict;
    }),
  };
}
