import { type RoundEvent, type RunConfig, runConfig } from '@cotune/fl-core';
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
  return rows.map((r) => ({
    runId: r.run_id,
    config: configOf(r.run_id, r.config),
    createdAtMs: r.created_at_ms,
  }));
}

/** What was stored, with the defaults of settings that came later. Throws when this program does not know one of its settings. */
function configOf(runId: string, json: string): RunConfig {
  const parsed = runConfig.safeParse(JSON.parse(json));
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new Error(
    `run ${runId} of the data directory: ${issue?.path.join('.')}: ${issue?.message}; a newer Cotune may have made it`,
  );
}

/** Appends one event; fails when `seq` is taken, so two writers cannot both continue one log. */
export async function appendEvent(db: Db, runId: string, seq: number, event: RoundEvent): Promise<void> {
  await db
    .insertInto('events')
    .values({ run_id: runId, seq, json: JSON.stringify(event) })
    .execute();
}

/** The whole log of a run, in order. */
export async function readEvents(db: Db, runId: string): Promise<RoundEvent[]> {
  const rows = await db.selectFrom('events').select('json').where('run_id', '=', runId).orderBy('seq').execute();
  return rows.map((r) => JSON.parse(r.json) as RoundEvent);
}
