import { once } from 'node:events';
import { isDeepStrictEqual } from 'node:util';
import { decodeVector, FlError, type RoundEvent, type RoundOffer, type RunConfig } from '@cotune/fl-core';
import { adapterLayout } from '@cotune/kernels';
import { type BlobStore, openBlobStore } from '../blobs/blob-store.ts';
import { openPartialFiles, type PartialFiles } from '../blobs/partial-files.ts';
import { sweepUploads } from '../blobs/sweep.ts';
import { UserError } from '../cli/output.ts';
import type { Clock } from '../clock.ts';
import { createLog } from '../log.ts';
import type { RunEngine } from '../run-engine.ts';
import { openRuns, type RunServices, type Runs } from '../runs.ts';
import { createUploads } from '../sockets/uploads.ts';
import { type Db, openDatabase } from '../store/database.ts';
import { listRuns, readEvents } from '../store/runs.ts';
import { type ClientsInTurn, clientsInTurn } from './clients-in-turn.ts';
import { createEnding, type Ending } from './ending.ts';
import type { Federated, Federation } from './federation.ts';
import { type Watch, watch } from './watch.ts';
import { workingClock } from './working-clock.ts';

/** As a live run numbers its participants: updates are summed in the order of their ids. */
const participantIdOf = (ordinal: number): string => `p${String(ordinal).padStart(6, '0')}`;

/**
 * A whole run in this process: the coordinator's event log, blobs, uploads and effects, and the participants' logic, with
 * function calls in the place of sockets. Clients train in turn. Everything is on disk before it counts, so that after the
 * end of the process at any moment the same call goes on to the same bits. Throws StoppedError, what made it fail, or
 * FlError when the run cannot finish.
 */
export async function federate(federation: Federation): Promise<Federated> {
  const db = await openDatabase(federation.dir);
  try {
    return await federateIn(federation, db);
  } finally {
    await db.destroy();
  }
}

async function federateIn(federation: Federation, db: Db): Promise<Federated> {
  const { dir } = federation;
  const events: RoundEvent[] = [];
  for (const { runId } of await listRuns(db)) events.push(...(await readEvents(db, runId)));
  const clock = workingClock(events.reduce((last, { atMs }) => Math.max(last, atMs), 0));
  const blobs = await openBlobStore(db, dir, clock.now);
  await blobs.clean();
  const partials = await openPartialFiles(dir);
  await sweepUploads({ db, partials, beforeMs: 0 });

  const ending = createEnding();
  const closing = new AbortController();
  const watched = watch(federation, { events, blobs, ending });
  const { start } = federation.engine;
  if (start && watched.startSha256() === null) await blobs.put('adapter', start.bytes);
  const runs = await openRuns(
    runServices(federation, { db, blobs, clock, ending, closed: closing.signal }),
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
  // A run that could not start has nothing to go on from.
  const begun = runs.list().find((one) => one.state().phase !== 'failed');
  const run: RunEngine = begun ?? (await runs.create(federation.run));
  const uploads = uploadsOf(federation, { db, blobs, partials, clock, runs });
  const clients = clientsInTurn(federation, { run, blobs, uploads, now: clock.now }, ending);
  try {
    if (begun) requireSettings(begun, federation);
    await untilSettled(federation, { runs, run, begun: begun !== undefined, clients, watched, ending });
    return await federated(run, blobs, watched.startSha256());
  } finally {
    const ended = runs.close();
    closing.abort();
    await ended;
    await watched.settled();
  }
}

/** Lets everyone take part until the run has finished, failed or was stopped. */
async function untilSettled(
  federation: Federation,
  of: {
    runs: Runs;
    run: RunEngine;
    begun: boolean;
    clients: ClientsInTurn;
    watched: Watch;
    ending: Ending;
  },
): Promise<void> {
  const { runs, run, begun, clients, watched, ending } = of;
  try {
    if (begun) federation.onProgress(run.state(), watched.startSha256());
    if (run.state().phase === 'finished') ending.finish();
    else await gather(runs, run, federation.clients.length, begun);
    await ending.settled;
    await clients.settled();
  } finally {
    await clients.close();
  }
}

async function federated(
  run: RunEngine,
  blobs: Pick<BlobStore, 'read'>,
  startSha256: string | null,
): Promise<Federated> {
  const state = run.state();
  if (!state.adapter) throw new FlError('wrong-state', 'the run finished without an adapter');
  const { vector } = decodeVector(await blobs.read(state.adapter.sha256));
  return { state, startSha256, vector };
}

function requireSettings(begun: RunEngine, { dir, run }: Federation): void {
  if (!isDeepStrictEqual(plain(begun.state().config), plain(run)))
    throw new UserError(`${dir} holds a run with other settings: remove it to run the cell anew`);
}

interface Opened {
  readonly db: Db;
  readonly blobs: BlobStore;
  readonly clock: Clock;
}

/** What a run stands on: the engine in the place of the evaluator, and nobody to tell but the simulation. */
function runServices(
  federation: Federation,
  { db, blobs, clock, ending, closed }: Opened & { ending: Ending; closed: AbortSignal },
): RunServices {
  return {
    db,
    blobs,
    clock,
    log: createLog('silent'),
    models: { open: async () => federation.engine.source },
    evaluator: evaluatorOf(federation, ending, closed),
    admin: { push: (event) => event.type === 'log' && federation.onNotice(event.message) },
    directory: { publish: async () => undefined },
    logError: () => ending.fail,
  };
}

const uploadsOf = (
  { engine }: Federation,
  { db, blobs, clock, partials, runs }: Opened & { partials: PartialFiles; runs: Runs },
) =>
  createUploads({
    db,
    blobs,
    partials,
    now: clock.now,
    maxOpenUploadBytes: Number.MAX_SAFE_INTEGER,
    dropUpdates: runs.dropUpdates,
    adapterLength: async ({ config }) => adapterLayout(engine.source.config, config.lora).length,
  });

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
