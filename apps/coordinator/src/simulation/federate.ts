import { once } from 'node:events';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import {
  decodeVector,
  FlError,
  isOver,
  type RoundEvent,
  type RoundOffer,
  type RunConfig,
  type RunState,
  type TrainingData,
} from '@cotune/fl-core';
import { adapterLayout } from '@cotune/kernels';
import { type BlobStore, openBlobStore } from '../blobs/blob-store.ts';
import { openPartialFiles } from '../blobs/partial-files.ts';
import { sweepUploads } from '../blobs/sweep.ts';
import { UserError } from '../cli/output.ts';
import type { HeldOutSet } from '../evaluator/measure.ts';
import { createLog } from '../log.ts';
import type { RunEngine } from '../run-engine.ts';
import { openRuns, type RunServices, type Runs } from '../runs.ts';
import { createUploads } from '../sockets/uploads.ts';
import { openDatabase } from '../store/database.ts';
import { listRuns, readEvents } from '../store/runs.ts';
import type { Engine } from './engine.ts';
import { type ClientSurroundings, type JobListener, type VirtualClient, virtualClient } from './virtual-client.ts';
import { workingClock } from './working-clock.ts';

export interface Federation {
  /** Database, blobs and the clients' own storage: all that resuming needs. */
  readonly dir: string;
  readonly run: RunConfig;
  /** Rows of every participant, in order of joining. */
  readonly clients: readonly TrainingData[];
  readonly engine: Pick<Engine, 'source' | 'host' | 'evaluate'>;
  readonly heldOut: HeldOutSet | null;
  /** Ends after the step at hand with a StoppedError. */
  readonly stop: AbortSignal;
  readonly checkpointEveryMs: number;
  onNotice(message: string): void;
  onStep(record: { ordinal: number; round: number; step: number; lossNats: number }): void;
  /** The run began, was taken up again, or published a round; `startSha256` is the first adapter's. */
  onProgress(state: RunState, startSha256: string | null): void;
  onJob?: JobListener | undefined;
}

export interface Federated {
  readonly state: RunState;
  readonly startSha256: string | null;
  /** The last adapter. */
  readonly vector: Float32Array<ArrayBuffer>;
}

/** As a live run numbers its participants: updates are summed in the order of their ids. */
const participantIdOf = (ordinal: number): string => `p${String(ordinal).padStart(6, '0')}`;

/**
 * A whole run in this process: the coordinator's event log, blobs, uploads and effects, and the participants' logic, with
 * function calls in the place of sockets. Clients train in turn. Everything is on disk before it counts, so that after the
 * end of the process at any moment the same call goes on to the same bits. Throws StoppedError, what made it fail, or
 * FlError when the run cannot finish.
 */
export async function federate(federation: Federation): Promise<Federated> {
  const { dir, engine } = federation;
  const db = await openDatabase(dir);
  const closing = new AbortController();
  let runs: Runs | undefined;
  try {
    const [stored] = await listRuns(db);
    const events = stored ? await readEvents(db, stored.runId) : [];
    const clock = workingClock(events.at(-1)?.atMs ?? 0);
    const blobs = await openBlobStore(db, dir, clock.now);
    await blobs.clean();
    const partials = await openPartialFiles(dir);
    await sweepUploads({ db, partials, beforeMs: 0 });

    const ending = outcome();
    const watched = watch(federation, { events, blobs, ending });
    runs = await openRuns(
      {
        db,
        blobs,
        clock,
        log: createLog('silent'),
        models: { open: async () => engine.source },
        evaluator: evaluatorOf(federation, ending, closing.signal),
        admin: { push: (event) => event.type === 'log' && federation.onNotice(event.message) },
        directory: { publish: async () => undefined },
        logError: () => ending.fail,
      },
      {
        send: (participantId, event, ...payload) => {
          if (event === 'round:offer') clients.offer(participantId, payload[0] as RoundOffer);
        },
        toRun: (_runId, event, ..._payload) => {
          if (event === 'run:state') clients.onRunState();
        },
        remove: () => undefined,
      },
      (event) => watched.on(event, run.state()),
    );
    const uploads = createUploads({
      db,
      blobs,
      partials,
      now: clock.now,
      maxOpenUploadBytes: Number.MAX_SAFE_INTEGER,
      dropUpdates: runs.dropUpdates,
      adapterLength: async ({ config }) => adapterLayout(engine.source.config, config.lora).length,
    });
    // A run that could not start has nothing to go on from.
    const begun = runs.list().find((one) => one.state().phase !== 'failed');
    const run: RunEngine = begun ?? (await runs.create(federation.run));
    if (begun && !isDeepStrictEqual(plain(run.state().config), plain(federation.run)))
      throw new UserError(`${dir} holds a run with other settings: remove it to run the cell anew`);
    const clients = clientsInTurn(federation, { run, blobs, uploads, now: clock.now }, ending);
    try {
      if (begun) federation.onProgress(run.state(), watched.startSha256());
      if (run.state().phase === 'finished') ending.finish();
      else await gather(runs, run, federation.clients.length, begun !== undefined);
      await ending.settled;
      await clients.settled();
    } finally {
      await clients.close();
    }
    const state = run.state();
    if (!state.adapter) throw new FlError('wrong-state', 'the run finished without an adapter');
    const { vector } = decodeVector(await blobs.read(state.adapter.sha256));
    return { state, startSha256: watched.startSha256(), vector };
  } finally {
    const ended = runs?.close();
    closing.abort();
    await ended;
    await db.destroy();
  }
}

/** The device measures; where it cannot, the simulation ends. */
function evaluatorOf({ engine, heldOut }: Federation, ending: Ending, closed: AbortSignal): RunServices['evaluator'] {
  return {
    async evaluate({ vector }) {
      try {
        if (!heldOut) throw new Error('there are no held-out rows');
        return await engine.evaluate(vector, heldOut);
      } catch (error) {
        ending.fail(error);
        if (!closed.aborted) await once(closed, 'abort'); // otherwise the run would go on without the figures
        throw error;
      }
    },
  };
}

/** Tells progress, lets go of adapters that nobody needs any more, and sees when the run has ended. */
function watch(
  federation: Federation,
  { events, blobs, ending }: { events: readonly RoundEvent[]; blobs: Pick<BlobStore, 'remove'>; ending: Ending },
) {
  let startSha256 = events.find((event) => event.type === 'started')?.adapter.sha256 ?? null;
  const past = async (state: RunState) => {
    const [before, last] = [startSha256, ...state.history.map((round) => round.adapterSha256)].slice(-2);
    if (before && last && before !== last) await blobs.remove('adapter', before);
  };
  return {
    startSha256: () => startSha256,
    on(event: RoundEvent, state: RunState) {
      if (event.type === 'started') startSha256 = event.adapter.sha256;
      if (event.type === 'started' || event.type === 'aggregated' || event.type === 'evaluated') {
        federation.onProgress(state, startSha256);
        past(state).catch(ending.fail);
      }
      if (state.phase === 'finished') ending.finish();
      else if (isOver(state)) ending.fail(new FlError('wrong-state', `${state.reason}`));
      else if (event.type === 'paused') ending.fail(new UserError(event.reason));
      else if (nobodyLeft(state))
        ending.fail(new FlError('incomplete', `round ${state.round + 1}: no client could finish its training`));
    },
  };
}

/** The participants of the run, made when they are first needed. One after another: the next begins when the one before has trained. */
function clientsInTurn(
  federation: Federation,
  services: Pick<ClientSurroundings, 'run' | 'blobs' | 'uploads' | 'now'>,
  { fail, failed }: Ending,
) {
  const { dir, engine, stop, onNotice, onStep, onJob, checkpointEveryMs } = federation;
  const { run } = services;
  const clients = new Map<string, VirtualClient>();
  const given = new AbortController();
  const hooks = { onNotice, onStep, onJob, checkpointEveryMs, fail, failed };
  const surroundings = { ...services, ...hooks, host: engine.host, stop: AbortSignal.any([stop, given.signal]) };
  let turn: Promise<unknown> = Promise.resolve();
  const clientOf = (participantId: string): VirtualClient => {
    const known = clients.get(participantId);
    if (known) return known;
    const ordinal = run.state().participants.findIndex((one) => one.participantId === participantId);
    const data = federation.clients[ordinal];
    if (!data) throw new FlError('not-found', `no rows for participant ${ordinal} of ${federation.clients.length}`);
    const own = { participantId, ordinal, data, dir: join(dir, 'clients', String(ordinal)) };
    const client = virtualClient(own, surroundings);
    clients.set(participantId, client);
    return client;
  };
  return {
    offer(participantId: string, offer: RoundOffer) {
      turn = turn.then(() => (failed() ? undefined : clientOf(participantId).offer(offer))).catch(fail);
    },
    onRunState() {
      for (const client of clients.values()) client.participant.onRunState(run.view());
    },
    /** Resolves when nothing of the offered rounds is left to do. */
    async settled() {
      for (const client of clients.values()) await client.settled();
    },
    async close() {
      given.abort();
      for (const client of clients.values()) await client.close();
    },
  };
}

/** As it is read back from the database. */
const plain = (config: RunConfig): unknown => JSON.parse(JSON.stringify(config));

/** Everyone joins, or is there again, in the same order every time; then the run starts, or goes on where it stopped. */
async function gather(runs: Runs, run: RunEngine, clients: number, again: boolean): Promise<void> {
  if (again) await runs.recover();
  if (run.state().phase === 'draft') await run.dispatch({ type: 'opened' });
  // Queued at once: whatever an effect that was taken up reports comes when everyone is there.
  const known = new Set(run.state().participants.map(({ participantId }) => participantId));
  const arrivals = Array.from({ length: clients }, (_, ordinal) => {
    const participantId = participantIdOf(ordinal);
    const back = known.has(participantId);
    return run.dispatch(
      back ? { type: 'connected', participantId } : { type: 'joined', participantId, name: `client ${ordinal}` },
      { strict: true },
    );
  });
  await Promise.all(arrivals);
  if (run.state().phase === 'open') await run.dispatch({ type: 'starting' });
  if (run.state().phase === 'paused') await run.dispatch({ type: 'resumed' }); // the disk was full
}

/** A round in which everyone has left waits for ever where no time passes. */
function nobodyLeft({ current }: RunState): boolean {
  if (current?.phase !== 'training') return false;
  const gone = new Set(current.departed);
  return current.updates.length === 0 && current.sampled.every((one) => gone.has(one));
}

type Ending = ReturnType<typeof outcome>;

/** Settles once: finished, failed, or stopped with nothing failed before. */
function outcome() {
  let failure: { readonly error: unknown } | undefined;
  let resolve = () => {};
  let reject: (error: unknown) => void = () => {};
  const settled = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  settled.catch(() => undefined);
  const fail = (error: unknown) => {
    failure ??= { error };
    reject(error);
  };
  return { settled, finish: () => resolve(), fail, failed: () => failure !== undefined };
}
