import { decodeVector, encodeVector, type LocalTrainer, type ParticipantStorage, sha256Hex } from '@cotune/fl-core';
import { expect, test } from 'vitest';
import type { Clock } from '../src/clock.ts';
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

/** A storage whose owner can be killed: what is under way ends, and nothing that its owner still asks for happens. */
function mortal(storage: ParticipantStorage): { storage: ParticipantStorage; kill(): Promise<void> } {
  let dead = false;
  const underWay = new Set<Promise<unknown>>();
  const living = <T>(act: () => Promise<T>): Promise<T> => {
    if (dead) return new Promise(() => {});
    const done = act();
    underWay.add(done);
    done.catch(() => undefined).finally(() => underWay.delete(done));
    return done;
  };
  return {
    storage: {
      get: (key) => living(() => storage.get(key)),
      set: (key, value) => living(() => storage.set(key, value)),
      delete: (key) => living(() => storage.delete(key)),
    },
    async kill() {
      dead = true;
      await Promise.allSettled(underWay);
    },
  };
}

/** Stands still until it is told that time has passed, so that no deadline depends on how busy the machine is. */
function standingClock(): Clock & { pass(ms: number): void } {
  let nowMs = Date.now();
  const timers = new Set<{ readonly atMs: number; fire(): void }>();
  return {
    now: () => nowMs,
    at(atMs, fire) {
      const timer = { atMs, fire };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    pass(ms) {
      nowMs += ms;
      for (const timer of [...timers].filter(({ atMs }) => atMs <= nowMs)) {
        timers.delete(timer);
        timer.fire();
      }
    },
  };
}

const GRACE_MS = 2500;

const settled = (person: TestParticipant) =>
  expect.poll(() => person.activities.some((activity) => activity.kind === 'uploaded'), PATIENT).toBe(true);

type Config = { readonly algorithm: { readonly id: 'scaffold' | 'fedavg' }; readonly optimizerState: 'fresh' | 'kept' };
const SCAFFOLD: Config = { algorithm: { id: 'scaffold' }, optimizerState: 'fresh' };
const KEPT_MOMENTS: Config = { algorithm: { id: 'fedavg' }, optimizerState: 'kept' };

/** Three rounds of Ada and of Bob, who is killed after the first; `storage` says where his successor looks, if there is one. */
async function withBobKilled(storage: 'kept' | 'lost' | null, config: Config = SCAFFOLD) {
  const clock = standingClock();
  const coordinator = await start({ clock });
  const { runId, token } = await openRun(coordinator, {
    ...config,
    rounds: ROUNDS,
    participants: { min: storage === null ? 1 : 2 },
    graceMs: GRACE_MS,
    autoStart: false,
  });
  const ada = joinRun(coordinator, token, { name: 'Ada', examples: EXAMPLES });
  await expect.poll(() => ada.resumeToken(), PATIENT).toBeDefined();
  const directory = await newDataDir();
  const bobs = mortal(fileStorage(directory));
  const trainer = seededTrainer('Bob');
  const bob = joinRun(coordinator, token, {
    name: 'Bob',
    examples: EXAMPLES,
    trainer: once(trainer),
    storage: bobs.storage,
    reconnection: false,
  });
  await expect.poll(() => bob.resumeToken(), PATIENT).toBeDefined();
  const resumeToken = bob.resumeToken() ?? '';
  const first = new Promise<string>((resolve) => ada.socket.once('round:offer', ({ adapter }) => resolve(adapter.url)));
  const finished = untilRun(coordinator, runId);
  await coordinator.adminCall('run:start', { requestId: requestId(), runId });
  await settled(bob);
  await bobs.kill();
  bob.socket.disconnect();
  if (storage === null) {
    // Nobody answers any more but Ada: when she has, the grace of each round passes.
    for (let round = 1; round < ROUNDS; round++) {
      await untilRun(coordinator, runId, (run) => run.round === round && run.roundPhase === 'closing');
      clock.pass(GRACE_MS);
    }
  } else {
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
