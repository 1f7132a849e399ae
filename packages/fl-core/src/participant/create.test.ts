import { describe, expect, it } from 'vitest';
import type { Algorithm } from '../algorithms/algorithm.ts';
import { fedavg } from '../algorithms/fedavg.ts';
import { scaffold } from '../algorithms/scaffold.ts';
import { decodeAlgorithmState, encodeAlgorithmState } from '../algorithms/state-codec.ts';
import type { Rewards, RoundOffer } from '../protocol/schema.ts';
import { createRng } from '../rng.ts';
import {
  arithmeticTrainer,
  CHUNK,
  fakeCoordinator,
  memoryStorage,
  plan,
  runAt,
  unreliable,
  welcomeAt,
} from './fake-network.test-support.ts';
import { exampleOrder } from './order.ts';
import { LENGTH, session, start, turns } from './session.test-support.ts';

/** What the arithmetic trainer makes of a plan, worked out apart from it. */
function expectedDelta(steps = plan.steps): number[] {
  const delta = new Float32Array(LENGTH);
  const order = exampleOrder({ examples: 12, count: plan.steps * plan.batchSize, seed: plan.seed });
  const trained = start.slice();
  for (const row of order.slice(0, steps * plan.batchSize))
    trained[row] = (trained[row] as number) + plan.learningRate * (1 + row);
  for (let i = 0; i < LENGTH; i++) delta[i] = (trained[i] as number) - (start[i] as number);
  return [...delta];
}

describe('a round', () => {
  it('downloads, trains, uploads the delta and reports', async () => {
    const { participant, server, activities, offer, until, trainer, storage } = session();
    participant.onWelcome(welcomeAt(0));
    participant.onOffer(offer());
    expect(await until('uploaded')).toEqual({ kind: 'uploaded', round: 0, verdict: { status: 'accepted' } });
    expect(server.updateOf()).toEqual(expectedDelta());
    expect(server.updateOf().some((value) => value !== 0)).toBe(true);
    expect(server.accepted[0]?.open).toMatchObject({
      runId: 'run',
      round: 0,
      attempt: 0,
      bytes: 420,
      dtype: 'f32',
      examples: 12,
      metrics: { lossNats: (4 + 2 + 4 / 3 + 1) / 4, steps: 4, trainingMs: 0 },
    });
    expect(server.requests[0]).toEqual({ event: 'round:accept', payload: { runId: 'run', round: 0, attempt: 0 } });
    expect([...new Set(activities.map(({ kind }) => kind))]).toEqual([
      'waiting',
      'downloading',
      'training',
      'uploading',
      'uploaded',
    ]);
    expect(trainer.jobs).toEqual([
      { seed: 11, start: [...start], order: exampleOrder({ examples: 12, count: 20, seed: 11 }) },
    ]);
    expect(server.mostInFlight).toBe(3);
    expect(server.chunksWritten).toHaveLength(Math.ceil(420 / CHUNK));
    expect((storage as ReturnType<typeof memoryStorage>).map.size).toBe(0);
  });

  it('sends f16 when the run says so', async () => {
    const { participant, server, offer, until } = session();
    const { config } = runAt(0);
    participant.onWelcome(welcomeAt(0, { config: { ...config, updateDtype: 'f16' } }));
    participant.onOffer(offer());
    await until('uploaded');
    expect(server.accepted[0]?.open).toMatchObject({ dtype: 'f16', bytes: 220 });
    expect(server.updateOf()).toEqual(expectedDelta()); // multiples of 1/4 are exact
  });

  it('sends progress at most twice a second', async () => {
    let nowMs = 0;
    const server = fakeCoordinator();
    server.now = () => nowMs;
    const trainer = arithmeticTrainer(() => {
      nowMs += 100;
    });
    const { participant, offer, until } = session({ server, trainer, now: () => nowMs });
    participant.onWelcome(welcomeAt(0));
    participant.onOffer(offer(0, { plan: { ...plan, steps: 23 } }));
    await until('uploaded');
    expect(server.progress.map(({ step }) => step)).toEqual([1, 6, 11, 16, 21]);
  });

  it('trains on every example before it repeats one', () => {
    const order = exampleOrder({ examples: 7, count: 20, seed: 3 });
    expect(order).toHaveLength(20);
    for (const pass of [order.slice(0, 7), order.slice(7, 14)]) expect([...pass].sort()).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(order.slice(0, 7)).not.toEqual(order.slice(7, 14));
    expect(exampleOrder({ examples: 7, count: 20, seed: 3 })).toEqual(order);
    expect(exampleOrder({ examples: 7, count: 20, seed: 4 })).not.toEqual(order);
    expect(exampleOrder({ examples: 2, count: 400_000, seed: 4 })).toHaveLength(400_000);
    expect(exampleOrder({ examples: 400_000, count: 400_000, seed: 4 })).toHaveLength(400_000);
    expect(() => exampleOrder({ examples: 0, count: 1, seed: 4 })).toThrow('got 0 examples');
  });
});

describe('a bad network', () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'delivers the same update through losses, repeats and silence (seed %i)',
    async (seed) => {
      const server = fakeCoordinator(unreliable(createRng(seed), 3));
      const { participant, offer, until, trainer } = session({ server });
      participant.onWelcome(welcomeAt(0));
      participant.onOffer(offer());
      expect(await until('uploaded')).toMatchObject({ verdict: { status: 'accepted' } });
      expect(server.updateOf()).toEqual(expectedDelta());
      expect(server.accepted).toHaveLength(1);
      expect(trainer.jobs).toHaveLength(1);
    },
  );

  it('goes on from the missing chunks after a disconnect', async () => {
    const server = fakeCoordinator();
    const run = session({ server });
    server.onChunk = (index) => {
      if (index === 4) {
        server.connected = false;
        run.participant.onDisconnect();
      }
    };
    run.participant.onWelcome(welcomeAt(0));
    run.participant.onOffer(run.offer());
    await run.until('uploading');
    await turns(60);
    expect(server.accepted).toHaveLength(0);
    const before = [...server.chunksWritten];
    expect(before.length).toBeGreaterThan(2);
    server.connected = true;
    server.onChunk = undefined;
    run.participant.onWelcome(welcomeAt(0));
    run.participant.onOffer(run.offer()); // the coordinator offers again; nothing starts anew
    await run.until('uploaded');
    expect(run.trainer.jobs).toHaveLength(1);
    expect(server.chunksWritten).toHaveLength(7);
    expect(new Set(server.chunksWritten).size).toBe(7);
  });

  it('trains on when the connection comes back and the same offer with it', async () => {
    const { participant, server, offer, until, trainer } = session();
    participant.onWelcome(welcomeAt(0));
    participant.onOffer(offer());
    await until('training');
    server.connected = false;
    participant.onDisconnect();
    await turns(2);
    server.connected = true;
    participant.onWelcome(welcomeAt(0));
    participant.onOffer(offer(0, { deadlineMs: 9000 }));
    await until('uploaded');
    participant.onOffer(offer());
    await turns(20);
    expect(trainer.jobs).toHaveLength(1);
    expect(server.eventsOf('round:accept')).toHaveLength(1);
    expect(server.updateOf()).toEqual(expectedDelta());
  });

  it('does not speak while disconnected', async () => {
    const { participant, server, offer } = session();
    participant.onWelcome(welcomeAt(0));
    participant.onDisconnect();
    participant.onOffer(offer());
    await turns(20);
    expect(server.requests).toEqual([]);
  });

  it('downloads again what arrives damaged, and gives up after three times', async () => {
    const once = session();
    once.server.damageDownloads = 2;
    once.participant.onWelcome(welcomeAt(0));
    once.participant.onOffer(once.offer());
    await once.until('uploaded');
    expect(once.server.updateOf()).toEqual(expectedDelta());
    const always = session();
    always.server.damageDownloads = 99;
    always.participant.onWelcome(welcomeAt(0));
    always.participant.onOffer(always.offer());
    expect(await always.until('failed')).toMatchObject({ message: expect.stringContaining('sha256') });
    await turns(5);
    expect(always.server.eventsOf('round:decline')).toHaveLength(1);
    expect(always.trainer.jobs).toEqual([]);
  });

  it('opens the upload again when the coordinator forgot it, is busy, or a chunk was damaged', async () => {
    for (const code of ['not-found', 'busy', 'wrong-hash', 'internal'] as const) {
      const { participant, server, offer, until } = session();
      server.next.chunk = { ok: false, code, message: 'try again' };
      participant.onWelcome(welcomeAt(0));
      participant.onOffer(offer());
      expect(await until('uploaded')).toMatchObject({ verdict: { status: 'accepted' } });
      expect(server.eventsOf('upload:open')).toHaveLength(2);
    }
  });
});

describe('verdicts', () => {
  it.each([
    ['late', { ok: true, value: { status: 'late', round: 1 } }, { status: 'late', round: 1 }],
    [
      'rejected',
      { ok: true, value: { status: 'rejected', code: 'not-finite', message: 'NaN', round: 0 } },
      { status: 'rejected', code: 'not-finite', message: 'NaN', round: 0 },
    ],
    [
      'a refusal',
      { ok: false, code: 'too-large', message: 'big' },
      { status: 'rejected', code: 'too-large', message: 'big', round: 0 },
    ],
    ['late by code', { ok: false, code: 'late', message: 'closed' }, { status: 'late', round: 0 }],
  ] as const)('reports %s and does not try again', async (_, answer, verdict) => {
    const { participant, server, offer, until, storage } = session();
    server.next.commit = answer;
    participant.onWelcome(welcomeAt(0));
    participant.onOffer(offer());
    expect(await until('uploaded')).toEqual({ kind: 'uploaded', round: 0, verdict });
    expect(server.eventsOf('upload:open')).toHaveLength(1);
    expect(await storage.get('update/run')).toBeUndefined();
  });

  it('gives up after five refusals in a row', async () => {
    const server = fakeCoordinator();
    const { participant, offer, until } = session({
      server: {
        ...server,
        transport: {
          ...server.transport,
          commitUpload: async () => ({ ok: false, code: 'incomplete', message: 'still missing' }),
        },
      },
    });
    participant.onWelcome(welcomeAt(0));
    participant.onOffer(offer());
    expect(await until('uploaded')).toMatchObject({ verdict: { status: 'rejected', code: 'incomplete' } });
    expect(server.eventsOf('upload:open').length).toBeLessThan(8);
  });

  it('asks again when the coordinator is too busy to take the acceptance', async () => {
    const { participant, server, offer, until } = session();
    server.next.accept = { ok: false, code: 'busy', message: 'slow down' };
    participant.onWelcome(welcomeAt(0));
    participant.onOffer(offer());
    expect(await until('uploaded')).toMatchObject({ verdict: { status: 'accepted' } });
    expect(server.eventsOf('round:accept')).toHaveLength(2);
  });

  it('waits when the coordinator withdraws the offer', async () => {
    const { participant, server, offer, until, trainer, activities } = session();
    server.next.accept = { ok: false, code: 'stale', message: 'the round is over' };
    participant.onWelcome(welcomeAt(0));
    const from = activities.length;
    participant.onOffer(offer());
    expect(await until('waiting', from)).toMatchObject({ reason: expect.stringContaining('the round is over') });
    expect(trainer.jobs).toEqual([]);
  });
});

describe('reload', () => {
  /** A tab that trained and died in mid-upload. */
  async function diedUploading() {
    const server = fakeCoordinator();
    const storage = memoryStorage();
    const first = session({ server, storage });
    server.onChunk = (index) => {
      if (index === 3) server.connected = false;
    };
    first.participant.onWelcome(welcomeAt(0));
    first.participant.onOffer(first.offer());
    await first.until('uploading');
    await turns(20);
    first.participant.onDisconnect();
    server.connected = true;
    server.onChunk = undefined;
    return { server, storage, first };
  }

  it('uploads what was trained before it, from the missing chunks on', async () => {
    const { server, storage, first } = await diedUploading();
    const second = session({ server, storage });
    second.participant.onWelcome(welcomeAt(0));
    second.participant.onOffer(second.offer());
    await second.until('uploaded');
    expect(second.trainer.jobs).toEqual([]);
    expect(first.trainer.jobs).toHaveLength(1);
    expect(server.updateOf()).toEqual(expectedDelta());
    expect(server.chunksWritten).toHaveLength(7);
    expect(storage.map.size).toBe(0);
  });

  it.each([
    ['round', (o: RoundOffer): RoundOffer => ({ ...o, round: 1 })],
    ['attempt', (o: RoundOffer): RoundOffer => ({ ...o, attempt: 1 })],
  ])('trains again for another %s', async (_, change) => {
    const { server, storage } = await diedUploading();
    const second = session({ server, storage });
    second.participant.onWelcome(welcomeAt(0));
    second.participant.onOffer(change(second.offer()));
    await second.until('uploaded');
    expect(second.trainer.jobs).toHaveLength(1);
  });

  it('trains again for another adapter of the same round', async () => {
    const { storage } = await diedUploading();
    const second = session({ storage });
    second.participant.onWelcome(welcomeAt(0));
    second.participant.onOffer(
      second.offer(0, {
        adapter: second.server.blob(
          start.map((w) => w + 1),
          0,
        ),
      }),
    );
    await second.until('uploaded');
    expect(second.trainer.jobs).toHaveLength(1);
  });

  it('trains again when the stored bytes are damaged', async () => {
    const { storage } = await diedUploading();
    const record = storage.map.get('update/run') as Uint8Array;
    record[record.length - 9] = (record[record.length - 9] as number) ^ 1;
    const second = session({ storage });
    second.participant.onWelcome(welcomeAt(0));
    second.participant.onOffer(second.offer());
    await second.until('uploaded');
    expect(second.trainer.jobs).toHaveLength(1);
    expect(second.server.updateOf()).toEqual(expectedDelta());
  });

  it('goes on without storage', async () => {
    const storage = { ...memoryStorage(), set: () => Promise.reject(new Error('quota')) };
    const { participant, offer, until } = session({ storage });
    participant.onWelcome(welcomeAt(0));
    participant.onOffer(offer());
    expect(await until('uploaded')).toMatchObject({ verdict: { status: 'accepted' } });
  });
});

describe('newer rounds', () => {
  it('a newer offer cancels the old work; an older one is ignored', async () => {
    const { participant, server, offer, until, trainer } = session();
    participant.onWelcome(welcomeAt(0));
    participant.onOffer(offer(0, { plan: { ...plan, steps: 1000 } }));
    await until('training');
    participant.onOffer(offer(1));
    participant.onOffer(offer(0));
    expect(await until('uploaded')).toMatchObject({ round: 1 });
    expect(trainer.jobs).toHaveLength(2);
    expect(server.accepted.map(({ open }) => open.round)).toEqual([1]);
    expect(server.eventsOf('round:decline')).toEqual([]);
  });

  it('never trains two rounds at once', async () => {
    let running = 0;
    let most = 0;
    const inner = arithmeticTrainer();
    const trainer = {
      ...inner,
      async train(job: Parameters<typeof inner.train>[0]) {
        most = Math.max(most, ++running);
        const result = await inner.train(job);
        await turns(3);
        running--;
        return result;
      },
    };
    const { participant, offer, until } = session({ trainer });
    participant.onWelcome(welcomeAt(0));
    for (let round = 0; round < 4; round++) {
      participant.onOffer(offer(round));
      await turns(7);
    }
    await until('uploaded');
    expect(most).toBe(1);
  });

  it('stops working on a round that the run has left behind', async () => {
    const { participant, server, offer, until, activities } = session();
    participant.onWelcome(welcomeAt(0));
    participant.onOffer(offer(0, { plan: { ...plan, steps: 1000 } }));
    await until('training');
    participant.onRunState(runAt(1));
    const from = activities.length;
    await turns(30);
    expect(activities.slice(from)).toEqual([]);
    expect(server.accepted).toEqual([]);
  });

  it('works on while the run is paused', async () => {
    const { participant, offer, until } = session();
    participant.onWelcome(welcomeAt(0));
    participant.onOffer(offer());
    await until('training');
    participant.onRunState(runAt(0, { phase: 'paused', reason: 'lunch' }));
    expect(await until('uploaded')).toMatchObject({ verdict: { status: 'accepted' } });
  });

  it.each([
    ['finished', { kind: 'finished' }],
    ['aborted', { kind: 'failed', message: 'The run was aborted: enough' }],
    ['failed', { kind: 'failed', message: 'The run was failed: enough' }],
  ] as const)('ends when the run is %s', async (phase, activity) => {
    const { participant, offer, until, activities, storage } = session();
    participant.onWelcome(welcomeAt(0));
    participant.onOffer(offer(0, { plan: { ...plan, steps: 1000 } }));
    await until('training');
    participant.onRunState(runAt(0, { phase, reason: 'enough' }));
    expect(activities.at(-1)).toEqual(activity);
    await turns(20);
    expect(await storage.get('update/run')).toBeUndefined();
  });

  it('is told to go', async () => {
    const { participant, server, offer, until, activities } = session();
    participant.onWelcome(welcomeAt(0));
    participant.onOffer(offer(0, { plan: { ...plan, steps: 1000 } }));
    await until('training');
    participant.onRemoved('another tab took over');
    expect(activities.at(-1)).toEqual({ kind: 'removed', reason: 'another tab took over' });
    participant.onOffer(offer(1));
    await turns(20);
    expect(server.eventsOf('round:accept')).toHaveLength(1);
    expect(server.eventsOf('upload:open')).toEqual([]);
  });
});

describe('leaving', () => {
  it('submits what was trained so far', async () => {
    const stopped: Promise<void>[] = [];
    const server = fakeCoordinator();
    const trainer = arithmeticTrainer((step) => {
      if (step === 2) stopped.push(run.participant.stop('submit'));
    });
    const run = session({ server, trainer });
    run.participant.onWelcome(welcomeAt(0));
    run.participant.onOffer(run.offer());
    await run.until('uploaded');
    await stopped[0];
    expect(server.updateOf()).toEqual(expectedDelta(2));
    expect(server.accepted[0]?.open.metrics.steps).toBe(2);
    run.participant.onOffer(run.offer(1));
    await turns(10);
    expect(trainer.jobs).toHaveLength(1);
  });

  it('discards: declines, uploads nothing, keeps nothing', async () => {
    const { participant, server, offer, until, storage, activities } = session();
    participant.onWelcome(welcomeAt(0));
    participant.onOffer(offer(0, { plan: { ...plan, steps: 1000 } }));
    await until('training');
    await participant.stop('discard');
    const from = activities.length;
    await turns(10);
    expect(server.eventsOf('round:decline')).toHaveLength(1);
    expect(server.eventsOf('upload:open')).toEqual([]);
    expect((storage as ReturnType<typeof memoryStorage>).map.size).toBe(0);
    expect(activities.slice(from)).toEqual([]);
  });

  it('discard ends a submit that cannot get through', async () => {
    const { participant, server, offer, until } = session();
    participant.onWelcome(welcomeAt(0));
    participant.onOffer(offer(0, { plan: { ...plan, steps: 1000 } }));
    await until('training');
    server.connected = false;
    participant.onDisconnect();
    const submitted = participant.stop('submit');
    await turns(20);
    await participant.stop('discard');
    await submitted;
    expect(server.accepted).toEqual([]);
  });

  it('has nothing to do between rounds', async () => {
    const { participant } = session();
    await participant.stop('submit');
    await participant.stop('discard');
  });
});

describe('training that goes wrong', () => {
  it('does not decline a round that was counted when its update cannot be cleared away', async () => {
    const storage = { ...memoryStorage(), delete: () => Promise.reject(new Error('the disk is locked')) };
    const { participant, server, offer, until } = session({ storage });
    participant.onWelcome(welcomeAt(0));
    participant.onOffer(offer());
    expect(await until('uploaded')).toMatchObject({ verdict: { status: 'accepted' } });
    await turns(5);
    expect(server.eventsOf('round:decline')).toEqual([]);
  });

  it('declines a round that diverged instead of sending NaN', async () => {
    const trainer = {
      ...arithmeticTrainer(),
      train: async (job: { weights: Float32Array; onStep: (r: never) => void }) => {
        job.onStep({ step: 1, lossNats: Number.NaN, gradNorm: 1, tokensPerSecond: 1, ms: 1 } as never);
        const trained = job.weights.slice();
        trained[3] = Number.NaN;
        return { weights: trained };
      },
    };
    const { participant, server, offer, until } = session({ trainer });
    participant.onWelcome(welcomeAt(0));
    participant.onOffer(offer());
    expect(await until('failed')).toMatchObject({ message: expect.stringContaining('diverged') });
    await turns(5);
    expect(server.eventsOf('upload:open')).toEqual([]);
    expect(server.eventsOf('round:decline')[0]?.payload).toMatchObject({
      round: 0,
      reason: expect.stringContaining('diverged'),
    });
    expect(server.progress).toEqual([]);
  });

  it('declines when the device is lost, and takes the next round', async () => {
    const inner = arithmeticTrainer();
    let lost = true;
    const trainer = {
      ...inner,
      train: (job: Parameters<typeof inner.train>[0]) =>
        lost ? Promise.reject(new Error('device lost')) : inner.train(job),
    };
    const { participant, offer, until } = session({ trainer });
    participant.onWelcome(welcomeAt(0));
    participant.onOffer(offer());
    expect(await until('failed')).toEqual({ kind: 'failed', message: 'device lost' });
    lost = false;
    participant.onOffer(offer(1));
    expect(await until('uploaded')).toMatchObject({ round: 1 });
  });
});

describe('preference pairs', () => {
  const rewarding = (given: readonly (Rewards | undefined)[]) => {
    const inner = arithmeticTrainer();
    return {
      ...inner,
      train: (job: Parameters<typeof inner.train>[0]) =>
        inner.train({
          ...job,
          onStep: (record) => {
            const rewards = given[record.step - 1];
            job.onStep({ ...record, ...(rewards && { rewards }) });
          },
        }),
    };
  };

  it('sends mean rewards with the update and with progress, and shows each step its own', async () => {
    let nowMs = 0;
    const each = [
      { accuracy: 0.25, margin: -1 },
      { accuracy: 0.75, margin: 2 },
      { accuracy: Number.NaN, margin: 1 },
      { accuracy: 1, margin: 2 },
    ];
    const seen: (Rewards | undefined)[] = [];
    const { participant, server, offer, until } = session({
      trainer: rewarding(each),
      now: () => {
        nowMs += 300; // asked once or twice a step
        return nowMs;
      },
      onStep: ({ rewards }) => seen.push(rewards),
    });
    participant.onWelcome(welcomeAt(0));
    participant.onOffer(offer());
    await until('uploaded');
    expect(server.accepted[0]?.open.metrics.rewards).toEqual({ accuracy: 2 / 3, margin: 1 });
    expect(seen).toEqual(each);
    const sent = server.progress.map(({ step, rewards }) => [step, rewards]);
    expect(sent[0]).toEqual([1, { accuracy: 0.25, margin: -1 }]);
    expect(sent).toContainEqual([3, { accuracy: 0.5, margin: 0.5 }]);
  });

  it('says nothing of rewards where there are none', async () => {
    const { participant, server, offer, until } = session({ trainer: rewarding([]) });
    participant.onWelcome(welcomeAt(0));
    participant.onOffer(offer());
    await until('uploaded');
    expect(server.accepted[0]?.open.metrics).not.toHaveProperty('rewards');
    expect(server.progress[0]).not.toHaveProperty('rewards.accuracy');
  });
});

describe('algorithm state of a client', () => {
  /** Counts its rounds, as SCAFFOLD keeps a control variate. */
  const counting: Algorithm = {
    ...(fedavg as Algorithm),
    initialClientState: (length) => ({ vectors: { c: new Float32Array(length) }, numbers: { rounds: 0 } }),
    clientStep: ({ clientState, start: from, trained, steps }) => ({
      state: {
        vectors: { c: trained.map((w, i) => w - (from[i] as number)) },
        numbers: { rounds: (clientState.numbers.rounds as number) + 1, steps },
      },
    }),
  };
  const stateIn = async (storage: { get(key: string): Promise<Uint8Array | undefined> }) =>
    decodeAlgorithmState(((await storage.get('state/run')) as Uint8Array).subarray(64));

  it('is kept once the update went into the model, and goes into the next round', async () => {
    const { participant, server, offer, until, storage, activities } = session({ algorithmOf: () => counting });
    participant.onWelcome(welcomeAt(0));
    participant.onOffer(offer(0));
    await until('uploaded');
    expect(await storage.get('state/run')).toBeUndefined();
    let from = activities.length;
    participant.onOffer(offer(1));
    await until('uploaded', from);
    expect(await stateIn(storage)).toEqual({
      vectors: { c: new Float32Array(expectedDelta()) },
      numbers: { rounds: 1, steps: 4 },
    });
    from = activities.length;
    participant.onOffer(offer(2));
    await until('uploaded', from);
    expect((await stateIn(storage)).numbers.rounds).toBe(2);
    expect(server.accepted).toHaveLength(3);
    participant.onRunState(runAt(3, { phase: 'finished' }));
    await turns(3);
    expect((storage as ReturnType<typeof memoryStorage>).map.size).toBe(0);
  });

  it.each([
    ['was late', { status: 'late', round: 1 }],
    ['was accepted into a round that kept the model', { status: 'accepted' }],
  ] as const)('is dropped with an update that %s', async (_, verdict) => {
    const { participant, server, offer, until, storage, activities } = session({ algorithmOf: () => counting });
    participant.onWelcome(welcomeAt(0));
    participant.onOffer(offer(0));
    await until('uploaded');
    const counted = offer().counted;
    server.next.commit = { ok: true, value: verdict };
    for (const round of [1, 2]) {
      const from = activities.length;
      participant.onOffer(offer(round, { counted }));
      await until('uploaded', from);
      expect((await stateIn(storage)).numbers.rounds).toBe(1);
    }
    participant.onOffer(offer(3, { counted: null })); // nothing new either way
    await until('uploaded', activities.length);
    expect((await stateIn(storage)).numbers.rounds).toBe(1);
  });

  it.each([true, false])('after a lost verdict it is kept if the update was counted (%s)', async (counted) => {
    const storage = memoryStorage();
    const server = fakeCoordinator((event) => (event === 'upload:commit' ? 'unanswered' : 'delivered'));
    const first = session({ server, storage, algorithmOf: () => counting });
    first.participant.onWelcome(welcomeAt(0));
    first.participant.onOffer(first.offer(0));
    while (server.accepted.length === 0) await turns(1);
    first.participant.onDisconnect();
    await turns(3);
    const { open } = server.accepted[0] as { open: { sha256: string } };
    const second = session({ storage, algorithmOf: () => counting });
    second.participant.onWelcome(welcomeAt(1));
    second.participant.onOffer(second.offer(1, { counted: counted ? open.sha256 : null }));
    await second.until('uploaded');
    expect((await storage.get('state/run')) !== undefined).toBe(counted);
    const from = second.activities.length;
    second.participant.onOffer(second.offer(2));
    await second.until('uploaded', from);
    expect((await stateIn(storage)).numbers.rounds).toBe(counted ? 2 : 1);
  });
});

describe('what an algorithm shares and asks for (SCAFFOLD)', () => {
  const algorithm: RoundOffer['plan']['algorithm'] = {
    id: 'scaffold',
    hyper: { driftTarget: 'weights', weighting: 'examples' },
  };
  const scaffoldPlan = { ...plan, algorithm };
  const c = Float32Array.from({ length: LENGTH }, (_, i) => (i % 3) / 4);
  const zero = new Float32Array(LENGTH);
  /** Delta, control delta and c_k⁺ of one round by the formulas, from c and c_k. */
  function byHand(shared: Float32Array, own: Float32Array) {
    const { steps, batchSize, learningRate: lr, seed } = plan;
    const trained = start.slice();
    const order = exampleOrder({ examples: 12, count: steps * batchSize, seed });
    for (let step = 0; step < steps; step++) {
      for (const row of order.slice(step * batchSize, (step + 1) * batchSize))
        trained[row] = (trained[row] as number) + lr * (1 + row);
      for (let i = 0; i < LENGTH; i++)
        trained[i] = (trained[i] as number) - lr * Math.fround((shared[i] as number) - (own[i] as number));
    }
    const delta = trained.map((w, i) => w - (start[i] as number));
    const control = trained.map(
      (w, i) => ((start[i] as number) - w) / (steps * lr) - (shared[i] as number), // c_k⁺ − c_k
    );
    return { delta, control, next: own.map((value, i) => value + (control[i] as number)) };
  }
  const scaffolding = (options: Parameters<typeof session>[0] = {}) => {
    const run = session(options);
    run.participant.onWelcome(welcomeAt(0));
    return {
      ...run,
      stateBlob: (vector = c) => run.server.stateBlob({ vectors: { c: vector }, numbers: {} }),
      scaffoldOffer: (round = 0, change: Partial<RoundOffer> = {}) =>
        run.offer(round, { plan: scaffoldPlan, ...change }),
    };
  };
  const ckIn = async (storage: { get(key: string): Promise<Uint8Array | undefined> }) =>
    decodeAlgorithmState(((await storage.get('state/run')) as Uint8Array).subarray(64)).vectors.ck;

  it('sends the control delta behind the delta in one vector, beginning at zero before there is a state', async () => {
    const { participant, server, scaffoldOffer, until, storage, activities } = scaffolding();
    participant.onOffer(scaffoldOffer());
    await until('uploaded');
    const { delta, control, next } = byHand(zero, zero);
    expect(server.updateOf()).toEqual([...delta, ...control]);
    expect(server.accepted[0]?.open.bytes).toBe(20 + 2 * LENGTH * 4);
    const from = activities.length;
    participant.onOffer(scaffoldOffer(1));
    await until('uploaded', from);
    expect(await ckIn(storage)).toEqual(next);
    expect(server.downloads.filter((url) => url.includes('/states/'))).toEqual([]);
  });

  it('downloads the state, counts it in the progress, and trains with it', async () => {
    const { participant, server, scaffoldOffer, stateBlob, until, activities } = scaffolding();
    const algorithmState = stateBlob();
    const offer = scaffoldOffer(0, { algorithmState });
    participant.onOffer(offer);
    await until('uploaded');
    const { delta, control } = byHand(c, zero);
    expect(server.updateOf()).toEqual([...delta, ...control]);
    expect(delta).not.toEqual(byHand(zero, zero).delta);
    const totalBytes = offer.adapter.bytes + algorithmState.bytes;
    const received = activities.flatMap((one) => (one.kind === 'downloading' ? [one] : []));
    expect(received.map((one) => one.totalBytes)).toEqual(received.map(() => totalBytes));
    expect(received.at(-1)?.receivedBytes).toBe(totalBytes);
  });

  it('carries c_k from round to round, also over a reload, and begins at zero where storage was lost or damaged', async () => {
    const first = byHand(zero, zero);
    const later = (own: Float32Array) => byHand(c, own).delta;
    expect(later(first.next)).not.toEqual(later(zero));
    const stores = {
      kept: (storage: ReturnType<typeof memoryStorage>) => storage,
      lost: () => memoryStorage(),
      damaged: (storage: ReturnType<typeof memoryStorage>) => {
        storage.map.set('next-state/run', (storage.map.get('next-state/run') as Uint8Array).slice(0, -3));
        return storage;
      },
      foreign: (storage: ReturnType<typeof memoryStorage>) => {
        storage.map.delete('next-state/run');
        storage.map.set('state/run', encodeAlgorithmState({ vectors: { ck: new Float32Array(3) }, numbers: {} }));
        return storage;
      },
    };
    for (const [what, change] of Object.entries(stores)) {
      const storage = memoryStorage();
      const before = scaffolding({ storage });
      before.participant.onOffer(before.scaffoldOffer());
      await before.until('uploaded');
      before.participant.onDisconnect();
      const after = scaffolding({ storage: change(storage) }); // as after a reload
      const { counted } = before.offer();
      after.participant.onOffer(after.scaffoldOffer(1, { algorithmState: after.stateBlob(), counted }));
      await after.until('uploaded');
      const own = what === 'kept' ? first.next : zero;
      const { delta, control } = byHand(c, own);
      expect(after.server.updateOf(), what).toEqual([...delta, ...control]);
    }
  });

  it('checks the state against its hash: damaged once it comes again, damaged always the round is declined', async () => {
    for (const [times, end] of [
      [2, 'uploaded'],
      [99, 'failed'],
    ] as const) {
      const { participant, server, scaffoldOffer, stateBlob, until, trainer } = scaffolding();
      server.damageDownloads = times;
      server.damageOnly = '/api/states/';
      participant.onOffer(scaffoldOffer(0, { algorithmState: stateBlob() }));
      const activity = await until(end);
      if (end === 'uploaded') {
        expect(server.updateOf().slice(0, LENGTH)).toEqual([...byHand(c, zero).delta]);
      } else {
        expect(activity).toMatchObject({ message: expect.stringMatching(/algorithm state .* sha256/) });
        expect(trainer.jobs).toEqual([]);
      }
    }
  });

  it.each([
    ['without the vector', { vectors: { d: new Float32Array(LENGTH) }, numbers: {} }, /no vector "c"/],
    ['of another length', { vectors: { c: new Float32Array(7) }, numbers: {} }, /got 7 values of "c", expected 100/],
  ])('refuses a state %s', async (_, state, message) => {
    const { participant, server, scaffoldOffer, until } = scaffolding();
    participant.onOffer(scaffoldOffer(0, { algorithmState: server.stateBlob(state) }));
    expect(await until('failed')).toMatchObject({ message: expect.stringMatching(message) });
    await turns(5);
    expect(server.eventsOf('round:decline')).toHaveLength(1);
  });

  it('does not download a state that its algorithm does not share', async () => {
    const { participant, server, offer, stateBlob, until } = scaffolding();
    participant.onOffer(offer(0, { algorithmState: stateBlob() }));
    await until('uploaded');
    expect(server.downloads).toEqual([expect.stringContaining('/api/adapters/')]);
  });

  it.each([
    ['gave no vector at all', undefined, /client step of algorithm scaffold has no vector "controlDelta"; got none/],
    ['gave another', { other: zero }, /no vector "controlDelta"; got other/],
    ['gave one of another length', { controlDelta: new Float32Array(3) }, /got 3 values .* expected 100/],
    ['gave one that is not finite', { controlDelta: zero.with(1, Number.NaN) }, /not finite/],
  ])('says so when the client step %s', async (_, extra, message) => {
    const broken: Algorithm = {
      ...(scaffold as Algorithm),
      clientStep: ({ clientState }) => ({ state: clientState, ...(extra && { extra }) }),
    };
    const { participant, server, scaffoldOffer, until } = scaffolding({ algorithmOf: () => broken });
    participant.onOffer(scaffoldOffer());
    expect(await until('failed')).toMatchObject({ message: expect.stringMatching(message) });
    await turns(5);
    expect(server.eventsOf('upload:open')).toEqual([]);
    expect(server.eventsOf('round:decline')).toHaveLength(1);
  });

  it('sends extras as f16 too, and says so when one does not fit', async () => {
    const { config } = runAt(0);
    const half = { config: { ...config, updateDtype: 'f16' } } as const;
    const fits = scaffolding();
    fits.participant.onWelcome(welcomeAt(0, half));
    fits.participant.onOffer(fits.scaffoldOffer());
    await fits.until('uploaded');
    const { delta, control } = byHand(zero, zero);
    expect(fits.server.accepted[0]?.open).toMatchObject({ dtype: 'f16', bytes: 20 + 2 * LENGTH * 2 });
    expect(fits.server.updateOf()).toEqual([...delta, ...control]); // multiples of 1/4 are exact
    const large = scaffolding();
    large.participant.onWelcome(welcomeAt(0, half));
    const algorithmState = large.stateBlob(zero.with(5, 70_000)); // its drift moves the weight, and c_k⁺ − c_k, as far
    large.participant.onOffer(large.scaffoldOffer(0, { algorithmState }));
    expect(await large.until('failed')).toMatchObject({ message: expect.stringMatching(/does not fit f16/) });
  });
});
