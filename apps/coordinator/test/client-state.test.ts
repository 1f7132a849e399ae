import { decodeVector, encodeVector, type LocalTrainer, sha256Hex } from '@cotune/fl-core';
import { expect, test } from 'vitest';
import { fileStorage } from '../src/participant/storage.ts';
import {
  joinRun,
  newDataDir,
  openRun,
  PATIENT,
  requestId,
  seededTrainer,
  start,
  type TestParticipant,
  untilRun,
  useHarness,
} from './harness.ts';
import { type Course, plainLoop } from './plain-loop.ts';

useHarness();

const ROUNDS = 3;
const EXAMPLES = 10;

/** Trains once and then hangs, as somebody who is about to be killed. */
function once(trainer: LocalTrainer): LocalTrainer {
  let calls = 0;
  return { train: (job) => (calls++ === 0 ? trainer.train(job) : new Promise(() => {})) };
}

const settled = (person: TestParticipant) =>
  expect.poll(() => person.activities.some((activity) => activity.kind === 'uploaded'), PATIENT).toBe(true);

type Config = { readonly algorithm: { readonly id: 'scaffold' | 'fedavg' }; readonly optimizerState: 'fresh' | 'kept' };
const SCAFFOLD: Config = { algorithm: { id: 'scaffold' }, optimizerState: 'fresh' };
const KEPT_MOMENTS: Config = { algorithm: { id: 'fedavg' }, optimizerState: 'kept' };

/** Three rounds of Ada and of Bob, who is killed after the first; `storage` says where his successor looks, if there is one. */
async function withBobKilled(storage: 'kept' | 'lost' | null, config: Config = SCAFFOLD) {
  const coordinator = await start();
  const { runId, token } = await openRun(coordinator, {
    ...config,
    rounds: ROUNDS,
    participants: { min: storage === null ? 1 : 2 },
    graceMs: 2500,
    autoStart: false,
  });
  const ada = joinRun(coordinator, token, { name: 'Ada', examples: EXAMPLES });
  await expect.poll(() => ada.resumeToken(), PATIENT).toBeDefined();
  const directory = await newDataDir();
  const trainer = seededTrainer('Bob');
  const bob = joinRun(coordinator, token, {
    name: 'Bob',
    examples: EXAMPLES,
    trainer: once(trainer),
    storage: fileStorage(directory),
    reconnection: false,
  });
  await expect.poll(() => bob.resumeToken(), PATIENT).toBeDefined();
  const resumeToken = bob.resumeToken() ?? '';
  const first = new Promise<string>((resolve) => ada.socket.once('round:offer', ({ adapter }) => resolve(adapter.url)));
  const finished = untilRun(coordinator, runId);
  await coordinator.adminCall('run:start', { requestId: requestId(), runId });
  await settled(bob);
  bob.socket.disconnect();
  if (storage !== null) {
    joinRun(coordinator, resumeToken, {
      name: 'Bob',
      examples: EXAMPLES,
      trainer,
      storage: fileStorage(storage === 'kept' ? directory : await newDataDir()),
    });
  }
  const run = await finished;
  const bytes = await (await fetch(`${coordinator.url}${await first}`)).arrayBuffer();
  const { participants } = await coordinator.adminCall('run:get', { runId });
  const people = ['Ada', 'Bob'].map((name) => ({
    participantId: participants.find((one) => one.name === name)?.participantId ?? '',
    trainer: seededTrainer(name),
    examples: EXAMPLES,
  }));
  return {
    run,
    async byFormulas(before: Course['before']): Promise<string> {
      const { vector: weights } = decodeVector(new Uint8Array(bytes));
      const course = { ...config, weights, rounds: ROUNDS, steps: 2, batchSize: 2, learningRate: 1e-2, people };
      const end = await plainLoop({ ...course, ...(before && { before }) });
      return sha256Hex(encodeVector(end, { dtype: 'f32', round: ROUNDS }));
    },
  };
}

test('scaffold: a participant killed between rounds goes on with its c_k', async () => {
  const { run, byFormulas } = await withBobKilled('kept');
  expect(run.rounds.map(({ received }) => received.length)).toEqual([2, 2, 2]);
  expect(run.adapter?.sha256).toBe(await byFormulas(undefined));
});

test('scaffold: a participant that lost its storage begins at c_k = 0 again', async () => {
  const { run, byFormulas } = await withBobKilled('lost');
  expect(run.rounds.map(({ received }) => received.length)).toEqual([2, 2, 2]);
  const forgets: Course['before'] = (round, ordinal) => (ordinal === 1 && round === 1 ? 'forgets' : undefined);
  expect(run.adapter?.sha256).toBe(await byFormulas(forgets));
  expect(run.adapter?.sha256).not.toBe(await byFormulas(undefined));
});

test('kept moments: a participant killed between rounds goes on with them; one that lost its storage begins anew', async () => {
  const kept = await withBobKilled('kept', KEPT_MOMENTS);
  expect(kept.run.adapter?.sha256).toBe(await kept.byFormulas(undefined));
  const lost = await withBobKilled('lost', KEPT_MOMENTS);
  const forgets: Course['before'] = (round, ordinal) => (ordinal === 1 && round === 1 ? 'forgets' : undefined);
  expect(lost.run.adapter?.sha256).toBe(await lost.byFormulas(forgets));
  expect(lost.run.adapter?.sha256).not.toBe(await lost.byFormulas(undefined));
});

test('scaffold: a participant that never comes back does not stop the run, and stays one of N', async () => {
  const { run, byFormulas } = await withBobKilled(null);
  expect(run.rounds.map(({ kept, received }) => [kept, received.length])).toEqual([
    [false, 2],
    [false, 1],
    [false, 1],
  ]);
  expect(run.adapter?.sha256).toBe(
    await byFormulas((round, ordinal) => (ordinal === 1 && round > 0 ? 'absent' : undefined)),
  );
});
