import type { AlgorithmState, RoundEvent, RunConfig } from '@cotune/fl-core';
import type { Db } from './database.ts';

export interface StoredRun {
  readonly runId: string;
  readonly config: RunConfig;
  readonly createdAtMs: number;
}

export async function insertRun(db: Db, run: StoredRun): Promise<void> {
  const row = { run_id: run.runId, config: JSON.stringify(run.config), created_at_ms: run.createdAtMs };
  await db.insertInto('runs').values(row).execute();
}

export async function listRuns(db: Db): Promise<StoredRun[]> {
  const rows = await db.selectFrom('runs').selectAll().orderBy('created_at_ms').orderBy('run_id').execute();
  return rows.map((r) => ({ runId: r.run_id, config: JSON.parse(r.config) as RunConfig, createdAtMs: r.created_at_ms }));
}

/** Appends one event; fails when `seq` is taken, so two writers cannot both continue one log. */
export async function appendEvent(db: Db, runId: string, seq: number, event: RoundEvent): Promise<void> {
  await db.insertInto('events').values({ run_id: runId, seq, json: JSON.stringify(event) }).execute();
}

/** The whole log of a run, in order. */
export async function readEvents(db: Db, runId: string): Promise<RoundEvent[]> {
  const rows = await db.selectFrom('events').select('json').where('run_id', '=', runId).orderBy('seq').execute();
  return rows.map((r) => JSON.parse(r.json) as RoundEvent);
}

/** Names in `vectors` map to blob ids: the vectors themselves are content-addressed files. */
export interface StoredAlgorithmState {
  readonly vectors: Readonly<Record<string, string>>;
  readonly numbers: AlgorithmState['numbers'];
}

/** Writes the state after `round`; repeating an aggregation after a crash overwrites it with the same. */
export async function saveAlgorithmState(db: Db, runId: string, round: number, state: StoredAlgorithmState): Promise<void> {
  const json = JSON.stringify(state);
  await db
    .insertInto('algorithm_states')
    .values({ run_id: runId, round, json })
    .onConflict((conflict) => conflict.columns(['run_id', 'round']).doUpdateSet({ json }))
    .execute();
}

/** The latest state written before `round` (a round that kept its model writes none), or undefined. */
export async function algorithmStateBefore(db: Db, runId: string, round: number): Promise<StoredAlgorithmState | undefined> {
  const row = await db
    .selectFrom('algorithm_states')
    .select('json')
    .where('run_id', '=', runId)
    .where('round', '<', round)
    .orderBy('round', 'desc')
    .executeTakeFirst();
  return row && (JSON.parse(row.json) as StoredAlgorithmState);
}
