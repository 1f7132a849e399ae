import { describe, expect, it } from 'vitest';
import type { RoundOffer } from '../protocol/schema.ts';
import { arithmeticTrainer, fakeCoordinator, memoryStorage, plan, welcomeAt } from './fake-network.test-support.ts';
import type { OptimizerState, ParticipantOptions, Trained } from './participant.ts';
import { LENGTH, session, start, turns } from './session.test-support.ts';

const keptPlan: RoundOffer['plan'] = { ...plan, optimizerState: 'kept' };

/** A session of a run that keeps the optimiser's state; `train` lets one offered round come to its verdict. */
function keeping(options: Parameters<typeof session>[0] = {}) {
  const run = session(options);
  run.participant.onWelcome(welcomeAt(0));
  const keptOffer = (round: number, change: Partial<RoundOffer> = {}) =>
    run.offer(round, { plan: keptPlan, ...change });
  return {
    ...run,
    keptOffer,
    async train(round: number, change: Partial<RoundOffer> = {}) {
      const from = run.activities.length;
      run.participant.onOffer(keptOffer(round, change));
      await run.until('uploaded', from);
    },
  };
}

/** Remembers what each training left, as the next one should find it. */
function recording() {
  const inner = arithmeticTrainer();
  const left: OptimizerState[] = [];
  const trainer = Object.assign(inner, {
    left,
    train: intercepted(inner.train, ({ optimizer }) => optimizer && left.push(optimizer)),
  });
  return trainer;
}

type Train = ParticipantOptions['trainer']['train'];
const intercepted =
  (train: Train, see: (trained: Trained) => unknown): Train =>
  async (job) => {
    const trained = await train(job);
    see(trained);
    return trained;
  };

describe('the optimiser’s state', () => {
  it('goes on from the last round that counted, and never leaves the client', async () => {
    const trainer = recording();
    const { train, server, storage, participant } = keeping({ trainer });
    for (const round of [0, 1, 2]) await train(round);
    const [first, second] = trainer.left;
    expect(first?.t).toBe(4);
    expect(first?.m.some((value) => value !== 0)).toBe(true);
    expect(second?.t).toBe(8);
    expect(trainer.optimizers).toEqual([undefined, first, second]);

    const fresh = session();
    fresh.participant.onWelcome(welcomeAt(0));
    fresh.participant.onOffer(fresh.offer(0));
    await fresh.until('uploaded');
    expect(fresh.trainer.optimizers).toEqual([undefined]);
    expect((fresh.storage as ReturnType<typeof memoryStorage>).map.size).toBe(0);
    const firstRound = server.requests.slice(0, fresh.server.requests.length);
    expect(firstRound).toEqual(fresh.server.requests); // the same hash and size of the same bytes
    expect(server.accepted.map(({ bytes }) => bytes.length)).toEqual([420, 420, 420]);

    participant.onRunState({ ...welcomeAt(3).run, phase: 'finished' });
    await turns(3);
    expect((storage as ReturnType<typeof memoryStorage>).map.size).toBe(0);
  });

  it('is not used by a round whose plan says fresh', async () => {
    const { train, trainer } = keeping();
    await train(0);
    await train(1, { plan });
    expect(trainer.optimizers).toEqual([undefined, undefined]);
  });

  it('is shortened with the round, and kept beside the algorithm’s own', async () => {
    const trainer = recording();
    const scaffoldPlan: RoundOffer['plan'] = {
      ...keptPlan,
      algorithm: { id: 'scaffold', hyper: { driftTarget: 'weights', weighting: 'examples' } },
    };
    const { train, server } = keeping({ trainer });
    for (const round of [0, 1]) await train(round, { plan: scaffoldPlan });
    expect(trainer.optimizers).toEqual([undefined, trainer.left[0]]);
    // c_k⁺ − c_k of the second round: c = 0 still, and c_k that of the first.
    const [one, two] = [server.updateOf(0), server.updateOf(1)];
    const { steps, learningRate } = plan;
    const own = one.slice(LENGTH); // c_k⁺ after c_k = 0
    expect(own.some((value) => value !== 0)).toBe(true);
    two.slice(LENGTH).forEach((control, i) => {
      expect(control).toBeCloseTo(-(two[i] as number) / (steps * learningRate), 5);
      expect(own[i]).toBeCloseTo(-(one[i] as number) / (steps * learningRate), 5);
    });
  });

  it.each([
    ['came late', { status: 'late', round: 1 }],
    ['was refused', { status: 'rejected', code: 'not-finite', message: 'no', round: 1 }],
    ['was accepted into a round that kept the model', { status: 'accepted' }],
  ] as const)('after an update that %s is dropped with it', async (_, verdict) => {
    const trainer = recording();
    const { train, server, offer } = keeping({ trainer });
    await train(0);
    const { counted } = offer();
    server.next.commit = { ok: true, value: verdict };
    await train(1, { counted });
    await train(1, { counted, attempt: 1 }); // the round is tried again
    await train(2, { counted });
    const [first] = trainer.left;
    expect(trainer.optimizers).toEqual([undefined, first, first, first]);
  });

  it.each([true, false])('after a lost verdict goes on if the update was counted (%s)', async (wasCounted) => {
    const storage = memoryStorage();
    const server = fakeCoordinator((event) => (event === 'upload:commit' ? 'unanswered' : 'delivered'));
    const trainer = recording();
    const first = keeping({ server, storage, trainer });
    first.participant.onOffer(first.keptOffer(0));
    while (server.accepted.length === 0) await turns(1);
    first.participant.onDisconnect();
    await turns(3);
    const counted = wasCounted ? (server.accepted[0]?.open.sha256 ?? null) : null;
    const second = keeping({ storage });
    await second.train(1, { counted });
    expect(second.trainer.optimizers).toEqual([wasCounted ? trainer.left[0] : undefined]);
  });

  it('is gone on from again after a kill in mid-training, and not once more where the update was trained already', async () => {
    const storage = memoryStorage();
    const trainer = recording();
    const first = keeping({ storage, trainer });
    await first.train(0);
    const { counted } = first.offer();
    const kill = { counted, attempt: 0 };
    const atStepTwo = arithmeticTrainer((step) => (step === 2 ? new Promise(() => {}) : undefined));
    const inTraining = keeping({ storage, trainer: atStepTwo });
    inTraining.participant.onOffer(inTraining.keptOffer(1, kill));
    while (inTraining.activities.at(-1)?.kind !== 'training') await turns(1);
    await turns(10);
    const inUpload = keeping({ storage });
    inUpload.server.onChunk = () => {
      inUpload.server.connected = false;
    };
    inUpload.participant.onOffer(inUpload.keptOffer(1, kill));
    await inUpload.until('uploading');
    await turns(10);
    const last = keeping({ storage });
    await last.train(1, kill);
    expect([atStepTwo, inUpload.trainer, last.trainer].map(({ optimizers }) => optimizers)).toEqual([
      [trainer.left[0]],
      [trainer.left[0]],
      [],
    ]);
    expect(last.server.accepted).toHaveLength(1);
  });

  it('begins anew where it was lost or damaged', async () => {
    const stores = {
      kept: (storage: ReturnType<typeof memoryStorage>) => storage,
      lost: () => memoryStorage(),
      'cut short': (storage: ReturnType<typeof memoryStorage>) => {
        storage.map.set('next-state/run', (storage.map.get('next-state/run') as Uint8Array).slice(0, -3));
        return storage;
      },
      'not finite': (storage: ReturnType<typeof memoryStorage>) => {
        const record = storage.map.get('next-state/run') as Uint8Array;
        record.set([0, 0, 0x80, 0x7f], record.length - 4); // infinity, as f32
        return storage;
      },
    };
    for (const [what, change] of Object.entries(stores)) {
      const storage = memoryStorage();
      const trainer = recording();
      const before = keeping({ storage, trainer });
      await before.train(0);
      const after = keeping({ storage: change(storage) });
      await after.train(1, { counted: before.offer().counted });
      expect(after.trainer.optimizers, what).toEqual([what === 'kept' ? trainer.left[0] : undefined]);
    }
  });

  it('begins anew where what is stored is of an earlier update, from which training has gone on already', async () => {
    const storage = memoryStorage();
    let full = false;
    const set = (key: string, value: Uint8Array) =>
      full && !key.startsWith('state/') ? Promise.reject(new Error('the disk is full')) : storage.set(key, value);
    const trainer = recording();
    const { train, participant, keptOffer, server, until } = keeping({ storage: { ...storage, set }, trainer });
    await train(0);
    full = true;
    participant.onOffer(keptOffer(1));
    await until('failed'); // to store the state after its update, which was accepted
    full = false;
    expect(server.accepted).toHaveLength(2);
    await train(2);
    await train(3);
    expect(trainer.optimizers).toEqual([undefined, trainer.left[0], undefined, trainer.left[2]]);
  });

  it('of another adapter is no more use than none', async () => {
    const { train, server, trainer } = keeping();
    await train(0);
    await train(1, { adapter: server.blob(start.subarray(0, 7), 1) });
    expect(trainer.optimizers).toEqual([undefined, undefined]);
  });

  it.each([
    ['gives none', undefined, /optimiser state has no vector "m"/],
    ['gives one of another length', { m: start.subarray(1), v: start, t: 4 }, /got 99 values of "m", expected 100/],
    ['gives one that is not finite', { m: start, v: start.with(3, Number.POSITIVE_INFINITY), t: 4 }, /not finite/],
  ])('declines a round where the trainer %s', async (_, optimizer, message) => {
    const inner = arithmeticTrainer();
    const train: Train = async (job) => {
      const { weights } = await inner.train(job);
      return { weights, ...(optimizer && { optimizer }) };
    };
    const { participant, server, keptOffer, until } = keeping({ trainer: { ...inner, train } });
    participant.onOffer(keptOffer(0));
    expect(await until('failed')).toMatchObject({ message: expect.stringMatching(message) });
    await turns(5);
    expect(server.eventsOf('upload:open')).toEqual([]);
    expect(server.eventsOf('round:decline')).toHaveLength(1);
  });
});
