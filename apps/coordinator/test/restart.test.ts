import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createLog } from '../src/log.ts';
import { joinRun, newDataDir, openRun, start, type TestParticipant, untilRun, useHarness } from './harness.ts';

useHarness();

const NAMES = ['Ada', 'Grace'];

/**
 * A run on `dataDir` with two participants. `onEvent` is called after each event was written to the run's log and before
 * any of its effects. People join one after the other, so that ordinals (and with them seeds) are always the same.
 */
async function runThrough(dataDir: string, onEvent: (event: string) => void = () => {}) {
  const write = (line: string) => {
    const { msg, event } = JSON.parse(line) as { msg: string; event: string };
    if (msg === 'event') onEvent(event);
  };
  const coordinator = await start({ dataDir, log: createLog('debug', { write }) });
  const { runId, token } = await openRun(coordinator);
  const finished = untilRun(coordinator, runId);
  const people: TestParticipant[] = [];
  for (const name of NAMES) {
    const person = joinRun(coordinator, token, { name });
    await expect.poll(() => person.resumeToken()).toBeDefined();
    people.push(person);
  }
  return { runId, people, finished };
}

/** Takes a copied data directory up again with the same people, and lets the run finish. */
async function resume(dataDir: string, runId: string, tokens: readonly string[]) {
  const coordinator = await start({ dataDir });
  const finished = untilRun(coordinator, runId);
  for (const [i, token] of tokens.entries()) joinRun(coordinator, token, { name: NAMES[i] ?? '' });
  const run = await finished;
  await coordinator.close();
  return run;
}

test('after a crash at any moment the run finishes with the adapter of an undisturbed one', async () => {
  const undisturbed = await (await runThrough(await newDataDir())).finished;
  expect(undisturbed.rounds.every((round) => round.received.length === 2)).toBe(true);

  // A copy of the directory taken while the coordinator works is what SIGKILL would have left behind.
  const dataDir = await newDataDir();
  const root = await newDataDir();
  const moments: string[] = [];
  const { runId, people, finished } = await runThrough(dataDir, (event) => {
    moments.push(event);
    const dir = join(root, String(moments.length - 1));
    // Files that move from uploads to blobs meanwhile are in both copies, not in neither; the log cannot move on.
    for (const part of ['uploads', 'blobs', 'cotune.db', 'cotune.db-wal']) {
      cpSync(join(dataDir, part), join(dir, part), { recursive: true });
    }
  });
  expect((await finished).adapter?.sha256).toBe(undisturbed.adapter?.sha256);
  const tokens = people.map((person) => person.resumeToken() ?? '');

  const started = moments.indexOf('started');
  const published = moments.indexOf('aggregated');
  expect(started).toBeGreaterThan(0);
  expect(published).toBeGreaterThan(started + 3);
  for (let moment = started - 1; moment <= published + 2; moment++) {
    const where = `killed after ${moments.slice(0, moment + 1).join(', ')}`;
    const run = await resume(join(root, String(moment)), runId, tokens);
    expect(run.adapter?.sha256, where).toBe(undisturbed.adapter?.sha256);
    expect(
      run.rounds.map((round) => round.received.length),
      where,
    ).toEqual([2, 2]);
  }
});
