import { cpSync } from 'node:fs';
import { join } from 'node:path';
import type { RunConfigInput } from '@cotune/fl-core';
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { createLog } from '../src/log.ts';
import { openDatabase } from '../src/store/database.ts';
import {
  joinRun,
  memoryStorage,
  newDataDir,
  openRun,
  PATIENT,
  start,
  type TestParticipant,
  untilRun,
  useHarness,
} from './harness.ts';

useHarness();

const NAMES = ['Ada', 'Grace'];
type Stored = Map<string, Uint8Array>;

/**
 * A run on `dataDir` with two participants. `onEvent` is called after each event was written to the run's log and before
 * any of its effects. People join one after the other, so that ordinals (and with them seeds) are always the same.
 */
async function runThrough(
  dataDir: string,
  config: Partial<RunConfigInput>,
  onEvent: (event: string, storages: readonly Stored[]) => void = () => {},
) {
  const storages = NAMES.map((): Stored => new Map());
  const write = (line: string) => {
    const { msg, event } = JSON.parse(line) as { msg: string; event: string };
    if (msg === 'event') onEvent(event, storages);
  };
  const coordinator = await start({ dataDir, log: createLog('debug', { write }) });
  const { runId, token } = await openRun(coordinator, config);
  const finished = untilRun(coordinator, runId);
  const people: TestParticipant[] = [];
  for (const [i, name] of NAMES.entries()) {
    const person = joinRun(coordinator, token, { name, storage: memoryStorage(storages[i]) });
    await expect.poll(() => person.resumeToken(), PATIENT).toBeDefined();
    people.push(person);
  }
  return { runId, people, finished };
}

/** Takes a copied data directory up again with the same people and what they had stored, and lets the run finish. */
async function resume(dataDir: string, runId: string, tokens: readonly string[], storages: readonly Stored[] = []) {
  const coordinator = await start({ dataDir });
  const finished = untilRun(coordinator, runId);
  for (const [i, token] of tokens.entries()) {
    joinRun(coordinator, token, { name: NAMES[i] ?? '', storage: memoryStorage(storages[i]) });
  }
  const run = await finished;
  await coordinator.close();
  return run;
}

/** Whole copies of a data directory and of the participants' storage, one after each event of a run. */
async function copiesOfARun(config: Partial<RunConfigInput>) {
  const dataDir = await newDataDir();
  const root = await newDataDir();
  const moments: string[] = [];
  const stored: Stored[][] = [];
  // A copy of the directory taken while the coordinator works is what SIGKILL would have left behind.
  const { runId, people, finished } = await runThrough(dataDir, config, (event, storages) => {
    moments.push(event);
    stored.push(storages.map((one) => new Map(one)));
    const dir = join(root, String(moments.length - 1));
    // Files that move from uploads to blobs meanwhile are in both copies, not in neither; the log cannot move on.
    for (const part of ['uploads', 'blobs', 'cotune.db', 'cotune.db-wal']) {
      cpSync(join(dataDir, part), join(dir, part), { recursive: true });
    }
  });
  const run = await finished;
  const tokens = people.map((person) => person.resumeToken() ?? '');
  return { runId, tokens, moments, stored, run, dir: (moment: number) => join(root, String(moment)) };
}

const CONFIGS: readonly (readonly [string, Partial<RunConfigInput>])[] = [
  ['fedavg', { algorithm: { id: 'fedavg' } }],
  ['scaffold', { algorithm: { id: 'scaffold' } }],
  ['fedavg with kept moments', { algorithm: { id: 'fedavg' }, optimizerState: 'kept' }],
];

test.each(CONFIGS)(
  '%s: after a crash at any moment the run finishes with the adapter of an undisturbed one',
  async (_, config) => {
    const undisturbed = await (await runThrough(await newDataDir(), config)).finished;
    expect(undisturbed.rounds.every((round) => round.received.length === 2)).toBe(true);
    const { runId, tokens, moments, stored, run: copied, dir } = await copiesOfARun(config);
    expect(copied.adapter?.sha256).toBe(undisturbed.adapter?.sha256);

    const started = moments.indexOf('started');
    const published = moments.indexOf('aggregated');
    expect(started).toBeGreaterThan(0);
    expect(published).toBeGreaterThan(started + 3);
    // Every moment of the first round, the beginning of the next, and its last update, when the first's state is in use.
    const around = Array.from({ length: published + 4 - started }, (_, i) => started - 1 + i);
    for (const moment of [...around, moments.lastIndexOf('uploaded')]) {
      const where = `killed after ${moments.slice(0, moment + 1).join(', ')}`;
      const run = await resume(dir(moment), runId, tokens, stored[moment]);
      expect(run.adapter?.sha256, where).toBe(undisturbed.adapter?.sha256);
      expect(
        run.rounds.map((round) => round.received.length),
        where,
      ).toEqual([2, 2]);
    }
  },
  180_000,
);

test('scaffold: a run whose participants lost c_k goes on, elsewhere', async () => {
  const {
    runId,
    tokens,
    moments,
    stored,
    run: undisturbed,
    dir,
  } = await copiesOfARun({ algorithm: { id: 'scaffold' } });
  const moment = moments.indexOf('aggregated');
  expect(stored[moment]?.some((one) => one.has(`next-state/${runId}`))).toBe(true);
  const run = await resume(dir(moment), runId, tokens);
  expect(run.rounds.map((round) => round.received.length)).toEqual([2, 2]);
  expect(run.rounds[0]?.adapterSha256).toBe(undisturbed.rounds[0]?.adapterSha256);
  expect(run.adapter?.sha256).not.toBe(undisturbed.adapter?.sha256);
});

test('a data directory of before there were tasks, schedules, shared states, rewards and kept moments is taken up and gone on with', async () => {
  const { runId, tokens, moments, stored, run: undisturbed, dir } = await copiesOfARun({ algorithm: { id: 'fedavg' } });
  const moment = moments.indexOf('uploaded');
  const db = await openDatabase(dir(moment));
  const { config } = await db.selectFrom('runs').select('config').executeTakeFirstOrThrow();
  const { task, dpo, learningRateSchedule, seeding, optimizerState, ...older } = JSON.parse(config);
  expect({ task, learningRateSchedule, seeding, optimizerState }).toEqual({
    task: 'sft',
    learningRateSchedule: 'cosine',
    seeding: 'run',
    optimizerState: 'fresh',
  });
  await db
    .updateTable('runs')
    .set({ config: JSON.stringify(older) })
    .execute();
  await sql`ALTER TABLE uploads DROP COLUMN rewards`.execute(db);
  await sql`PRAGMA user_version = 1`.execute(db);
  const events = await db.selectFrom('events').select('json').execute();
  expect(events.some(({ json }) => json.includes('"clients"'))).toBe(false); // rebuilt from who joined, never stored
  await db.destroy();

  const run = await resume(dir(moment), runId, tokens, stored[moment]);
  expect(run.config).toMatchObject({ task: 'sft', dpo: { beta: 0.1 }, learningRateSchedule: 'cosine', seeding: 'run' });
  expect(run.adapter?.sha256).toBe(undisturbed.adapter?.sha256);
});
