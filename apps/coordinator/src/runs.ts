import { type RoundEvent, type RunConfig, sharedState } from '@cotune/fl-core';
import { sweepStates, sweepUpdates } from './blobs/sweep.ts';
import { createEffects, type EffectServices } from './effects.ts';
import { openRun, type RunEngine } from './run-engine.ts';
import type { Services } from './services.ts';
import { insertRun, listRuns, type StoredRun } from './store/runs.ts';
import { newId } from './store/tokens.ts';

/** All runs of the data directory, alive. */
export interface Runs {
  list(): readonly RunEngine[];
  get(runId: string): RunEngine | undefined;
  create(config: RunConfig): Promise<RunEngine>;
  /** Removes update blobs that no round in progress has counted. */
  dropUpdates(sha256s: readonly string[]): Promise<void>;
  /** Whether participants of a run may have this algorithm state: it is what a run goes on from, of an algorithm that shares it. */
  sharesState(sha256: string): boolean;
  /** Marks everyone as gone and issues what the last process left undone; to be called once, before anybody connects. */
  recover(): Promise<void>;
  close(): Promise<void>;
}

/** What runs stand on; a simulation brings its own. */
export type RunServices = Omit<EffectServices, 'peers' | 'dropUpdates'> &
  Pick<Services, 'db' | 'logError'> & { readonly directory: Pick<Services['directory'], 'publish'> };

/** Rebuilds every run from its log. `onEvent` hears of each event applied from now on. */
export async function openRuns(
  services: RunServices,
  peers: EffectServices['peers'],
  onEvent: (event: RoundEvent) => void,
): Promise<Runs> {
  const { db, blobs, clock, log, admin, directory, logError } = services;
  const engines = new Map<string, RunEngine>();

  const neededUpdates = (): ReadonlySet<string> => {
    const updates = [...engines.values()].flatMap((run) => run.state().current?.updates ?? []);
    return new Set(updates.map((update) => update.blob.sha256));
  };
  const dropUpdates: Runs['dropUpdates'] = async (sha256s) => {
    const needed = neededUpdates(); // another participant's update may have the same bytes
    for (const sha256 of sha256s) if (!needed.has(sha256)) await blobs.remove('update', sha256);
  };
  const neededStates = (): ReadonlySet<string> => {
    const states = [...engines.values()].flatMap((run) => {
      const { algorithmState, current } = run.state();
      return [algorithmState, current?.candidate?.algorithmState];
    });
    return new Set(states.flatMap((state) => (state ? [state.sha256] : [])));
  };
  const dropStates = async () => {
    // What an aggregation under way has just written is in no run's state yet; the next round's clean-up comes by again.
    const aggregating = () => [...engines.values()].some((run) => run.state().current?.phase === 'aggregating');
    if (!aggregating())
      await sweepStates({ db, blobs, needed: (sha256) => aggregating() || neededStates().has(sha256) });
  };
  const effects = createEffects({
    ...services,
    peers,
    async dropUpdates(sha256s) {
      await dropUpdates(sha256s);
      await dropStates();
    },
  });

  const open = async (stored: StoredRun): Promise<RunEngine> => {
    const run = await openRun({
      db,
      stored,
      now: clock.now,
      log,
      perform: effects.perform,
      onEvent(engine, event) {
        onEvent(event);
        if (event.type === 'resumed') effects.takeUp(engine);
        const participantId = participantOf(event);
        if (participantId) directory.publish(engine, participantId).catch(logError('participant event'));
      },
    });
    engines.set(stored.runId, run);
    return run;
  };

  for (const stored of await listRuns(db)) await open(stored);
  await sweepUpdates({ db, blobs, neededUpdates: neededUpdates() });
  const needed = neededStates();
  await sweepStates({ db, blobs, needed: (sha256) => needed.has(sha256) });

  return {
    list: () => [...engines.values()],
    get: (runId) => engines.get(runId),
    async create(config) {
      const stored = { runId: newId('run'), config, createdAtMs: clock.now() };
      await insertRun(db, stored);
      const run = await open(stored);
      admin.push({ type: 'run', run: run.view() });
      return run;
    },
    dropUpdates,
    sharesState: (sha256) => [...engines.values()].some((run) => sharedState(run.state())?.sha256 === sha256),
    async recover() {
      for (const run of engines.values()) await run.dispatch({ type: 'recovered' });
    },
    async close() {
      const finished = effects.close();
      await Promise.all([...engines.values()].map((run) => run.close()));
      await finished;
    },
  };
}

function participantOf(event: RoundEvent): string | undefined {
  if (event.type === 'uploaded') return event.update.participantId;
  return 'participantId' in event ? event.participantId : undefined;
}
