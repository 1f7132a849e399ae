import {
  canApply,
  type Effect,
  FlError,
  initialRun,
  type RoundEvent,
  type RunState,
  type RunView,
  reduce,
  runViewOf,
} from '@cotune/fl-core';
import type { Log } from './log.ts';
import type { Db } from './store/database.ts';
import { appendEvent, readEvents, type StoredRun } from './store/runs.ts';

type Distribute<T> = T extends unknown ? Omit<T, 'atMs'> : never;
/** A fact before the engine stamps it with the clock. */
export type EventBody = Distribute<RoundEvent>;

export interface DispatchOptions {
  /** Throws what `canApply` says instead of quietly changing nothing. */
  readonly strict?: boolean;
  /** Further writes in the same transaction as the event. */
  readonly also?: (trx: Db) => Promise<void>;
}

/** One run: its state, and the only way to change it. */
export interface RunEngine {
  readonly runId: string;
  state(): RunState;
  view(): RunView;
  /**
   * Appends the event to the log, applies it, and starts its effects; resolves with the state right after it. Events of a
   * run are applied one at a time, in the order of the calls. An event that changes nothing is not logged.
   */
  dispatch(body: EventBody, options?: DispatchOptions): Promise<RunState>;
  /** Refuses further events and waits for those under way. */
  close(): Promise<void>;
}

/**
 * Rebuilds a run from its log and takes it up again: the 'recovered' event makes `reduce` issue once more every timer and
 * effect that the last process did not finish.
 */
export async function openRun(options: {
  db: Db;
  stored: StoredRun;
  now: () => number;
  log: Log;
  perform: (run: RunEngine, effect: Effect) => void;
  /** Told after every applied event. */
  onEvent: (run: RunEngine, event: RoundEvent) => void;
}): Promise<RunEngine> {
  const { db, stored, now, log, perform, onEvent } = options;
  const events = await readEvents(db, stored.runId);
  let state = initialRun({ runId: stored.runId, config: stored.config, atMs: stored.createdAtMs });
  for (const event of events) state = reduce(state, event).state;
  let nextSeq = events.length;
  let lastMs = events.at(-1)?.atMs ?? 0;
  let tail: Promise<unknown> = Promise.resolve();
  let closed = false;

  const step = async (body: EventBody, { strict, also }: DispatchOptions): Promise<RunState> => {
    if (closed) throw new FlError('busy', 'the coordinator is shutting down: connect again in a moment');
    // The log's time never runs backwards, whatever the system clock does.
    const event = { ...body, atMs: Math.max(now(), lastMs) } as RoundEvent;
    const refusal = strict ? canApply(state, event) : null;
    if (refusal) throw refusal;
    const reduced = reduce(state, event);
    const changed = reduced.state !== state || reduced.effects.length > 0;
    if (changed || also) {
      await db.transaction().execute(async (trx) => {
        if (changed) await appendEvent(trx, stored.runId, nextSeq, event);
        await also?.(trx);
      });
    }
    if (!changed) return state;
    nextSeq++;
    lastMs = event.atMs;
    state = reduced.state;
    log.debug({ runId: stored.runId, event: event.type, effects: reduced.effects.map((e) => e.type) }, 'event');
    onEvent(run, event);
    for (const effect of reduced.effects) perform(run, effect);
    return state;
  };

  const run: RunEngine = {
    runId: stored.runId,
    state: () => state,
    view: () => runViewOf(state),
    dispatch(body, dispatchOptions = {}) {
      const result = tail.then(() => step(body, dispatchOptions));
      tail = result.catch(() => undefined);
      return result;
    },
    async close() {
      closed = true;
      await tail;
    },
  };
  return run;
}
