import { expect, it } from 'vitest';
import { aggregateUpdates } from '../algorithms/aggregate.ts';
import { ALGORITHM_IDS, type AlgorithmSettingsInput, algorithmOf } from '../algorithms/registry.ts';
import { decodeVector, encodeVector, sha256Hex } from '../protocol/codec.ts';
import { runConfig } from '../protocol/schema.ts';
import { createRng } from '../rng.ts';
import { cosineLearningRate, countedUpdate, planFor, roundSeed, sharedState } from '../round/plan.ts';
import { initialRun, reduce } from '../round/reduce.ts';
import type { Effect, RoundEvent, RunState } from '../round/state.ts';
import { runViewOf } from '../round/view.ts';
import { l2Norm } from '../vector.ts';
import { createParticipant } from './create.ts';
import {
  arithmeticTrainer,
  type Fate,
  fakeCoordinator,
  memoryStorage,
  unreliable,
  welcomeAt,
} from './fake-network.test-support.ts';
import { exampleOrder } from './order.ts';

const EXAMPLES = { ada: 5, ben: 20, cleo: 11 } as const;
type Name = keyof typeof EXAMPLES;
const names = Object.keys(EXAMPLES) as Name[];

const begin = Float32Array.from({ length: 40 }, (_, i) => Math.sin(i));

/**
 * A whole run in memory: the round rules, aggregation and three participants, each behind a network of its own. `reload`
 * replaces participants by others on the same storage (or a new one) whenever a round has been published.
 */
async function federate(
  algorithm: AlgorithmSettingsInput,
  fate: (name: Name) => () => Fate,
  reload?: (name: Name) => 'storage kept' | 'storage lost',
  optimizerState: 'fresh' | 'kept' = 'fresh',
): Promise<RunState & { vector: Float32Array }> {
  const config = runConfig.parse({
    name: 'x',
    modelId: 'm',
    algorithm,
    lora: {},
    rounds: 3,
    steps: 4,
    batchSize: 3,
    learningRate: 0.1,
    optimizerState,
    participants: { min: 3 },
  });
  const first = initialRun({ runId: 'run', config, atMs: 0 });
  const blobs = new Map<string, Uint8Array<ArrayBuffer>>();
  const put = (bytes: Uint8Array<ArrayBuffer>) => {
    blobs.set(sha256Hex(bytes), bytes);
    return { url: `/api/adapters/${sha256Hex(bytes)}`, sha256: sha256Hex(bytes), bytes: bytes.length };
  };
  const log: RoundEvent[] = [];
  let state = first;
  let finish = (): void => {};
  const finished = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const dispatch = (event: RoundEvent): void => {
    log.push(event);
    const reduced = reduce(state, event);
    state = reduced.state;
    for (const effect of reduced.effects) perform(effect);
    if (state.phase === 'finished') finish();
  };
  const storages = new Map(names.map((name) => [name, memoryStorage()]));
  const arrive = (name: Name) => {
    const server = fakeCoordinator(fate(name));
    const participant = createParticipant({
      trainer: arithmeticTrainer(),
      transport: {
        ...server.transport,
        async download(url) {
          return (blobs.get(url.slice(url.lastIndexOf('/') + 1)) as Uint8Array<ArrayBuffer>).slice();
        },
      },
      storage: storages.get(name) ?? memoryStorage(),
      examples: EXAMPLES[name],
      now: () => 0,
      delay: () => new Promise((resolve) => setImmediate(resolve)),
      onActivity: () => {},
    });
    server.onAccepted = ({ open, bytes }) => {
      const blob = put(bytes.slice());
      const update = {
        participantId: name,
        blob: { sha256: blob.sha256, bytes: blob.bytes },
        examples: open.examples,
        lossNats: open.metrics.lossNats,
        updateNorm: l2Norm(decodeVector(bytes).vector.subarray(0, begin.length)),
      };
      dispatch({ type: 'uploaded', atMs: 1, round: open.round, attempt: open.attempt, update });
    };
    return participant;
  };
  const ends = new Map(names.map((name) => [name, arrive(name)]));
  function perform(effect: Effect): void {
    if (effect.type === 'offer') {
      const { participantId, round, attempt, deadlineMs } = effect;
      const adapter = state.adapter as NonNullable<RunState['adapter']>;
      const shared = sharedState(state);
      const algorithmState = shared && { ...shared, url: `/api/states/${shared.sha256}` };
      const plan = planFor(state, participantId);
      const offer = {
        runId: 'run',
        round,
        attempt,
        deadlineMs,
        adapter,
        algorithmState,
        reference: null,
        counted: countedUpdate(state, participantId),
        plan,
      };
      ends.get(participantId as Name)?.onOffer(offer);
    }
    if (effect.type === 'publish' && reload !== undefined) {
      for (const name of names) {
        if (reload(name) === 'storage lost') storages.set(name, memoryStorage());
        ends.get(name)?.onDisconnect();
        ends.set(name, arrive(name));
        ends.get(name)?.onWelcome({ ...welcomeAt(0), run: runViewOf(state) });
      }
    }
    if (effect.type === 'broadcast') for (const end of ends.values()) end.onRunState(runViewOf(state));
    if (effect.type === 'aggregate') {
      const bytesOf = (sha256: string): Uint8Array => blobs.get(sha256) as Uint8Array;
      void aggregateUpdates({
        algorithm: algorithmOf(config.algorithm),
        hyper: config.algorithm.hyper,
        adapter: bytesOf(effect.adapter.sha256),
        algorithmState: effect.algorithmState && bytesOf(effect.algorithmState.sha256),
        clients: effect.clients,
        round: effect.round,
        updates: effect.updates.map(({ participantId, examples, blob }) => ({
          participantId,
          examples,
          bytes: blob.bytes,
          read: async (offset, length) => bytesOf(blob.sha256).subarray(offset, offset + length),
        })),
      }).then(({ adapter, algorithmState: next }) => {
        const carried = next && put(next);
        const algorithmState = carried && { sha256: carried.sha256, bytes: carried.bytes };
        dispatch({ type: 'aggregated', atMs: 2, round: effect.round, adapter: put(adapter), algorithmState });
      });
    }
  }
  dispatch({ type: 'opened', atMs: 0 });
  for (const name of names) {
    ends.get(name)?.onWelcome(welcomeAt(0));
    dispatch({ type: 'joined', participantId: name, name, atMs: 0 });
  }
  const start = encodeVector(
    Float32Array.from({ length: 40 }, (_, i) => Math.sin(i)),
    { dtype: 'f32', round: 0 },
  );
  dispatch({ type: 'starting', atMs: 0 });
  dispatch({ type: 'started', adapter: put(start), baseline: null, atMs: 0 });
  await finished;
  expect(log.reduce((folded, event) => reduce(folded, event).state, first)).toEqual(state);
  const { vector } = decodeVector(blobs.get(state.adapter?.sha256 ?? '') as Uint8Array);
  return { ...state, vector };
}

const calm = () => (): Fate => 'delivered';

it('three participants carry a run to its end, and each round moves the model', async () => {
  const state = await federate({ id: 'fedavg' }, calm);
  expect(state.history.map(({ kept, received }) => [kept, received.length])).toEqual([
    [false, 3],
    [false, 3],
    [false, 3],
  ]);
  expect(new Set(state.history.map(({ adapterSha256 }) => adapterSha256)).size).toBe(3);
});

it('the final adapter is what the formulas give: w += Σ n_k/n (w_k − w), each client with its own seed', async () => {
  const { vector } = await federate({ id: 'fedavg' }, calm);
  const total = names.reduce((sum, name) => sum + EXAMPLES[name], 0);
  let w = begin.slice();
  for (let round = 0; round < 3; round++) {
    const learningRate = cosineLearningRate({ round, rounds: 3, max: 0.1, min: 1e-6 });
    const mean = new Float64Array(w.length);
    names.forEach((name, ordinal) => {
      const trained = w.slice();
      const seed = roundSeed(1, round, ordinal);
      for (const row of exampleOrder({ examples: EXAMPLES[name], count: 12, seed })) {
        trained[row] = (trained[row] as number) + learningRate * (1 + row);
      }
      trained.forEach((value, i) => {
        const delta = Math.fround(value - (w[i] as number));
        mean[i] = (mean[i] as number) + (EXAMPLES[name] / total) * delta;
      });
    });
    w = w.map((value, i) => value + (mean[i] as number));
  }
  expect(vector).toEqual(w);
});

it.each([1, 2, 3, 4])(
  'a network that loses, repeats and stays silent leads to the same adapter (seed %i)',
  async (seed) => {
    const expected = await federate({ id: 'fedavg' }, calm);
    const stormy = await federate({ id: 'fedavg' }, (name) => unreliable(createRng(`${seed}/${name}`), 4));
    expect(stormy.adapter).toEqual(expected.adapter);
  },
);

it('local training leads elsewhere, and to another place for each participant', async () => {
  const adapters = await Promise.all([
    federate({ id: 'fedavg' }, calm),
    federate({ id: 'fedavg', hyper: { weighting: 'uniform' } }, calm),
    federate({ id: 'local', hyper: { client: 0 } }, calm),
    federate({ id: 'local', hyper: { client: 1 } }, calm),
  ]);
  expect(new Set(adapters.map(({ adapter }) => adapter?.sha256)).size).toBe(4);
});

it.each(ALGORITHM_IDS)(
  '%s: a bad network, and reloads between rounds, lead to the same adapter and state',
  async (id) => {
    const expected = await federate({ id }, calm);
    expect(expected.history.map(({ kept }) => kept)).toEqual([false, false, false]);
    const stormy = await federate({ id }, (name) => unreliable(createRng(`9/${name}`), 4));
    const reloaded = await federate({ id }, calm, () => 'storage kept');
    for (const other of [stormy, reloaded]) {
      expect(other.adapter).toEqual(expected.adapter);
      expect(other.algorithmState).toEqual(expected.algorithmState);
    }
  },
);

/** SCAFFOLD written out: with plain steps its correction is w_k ← w_k − lr·(c − c_k). `loses` clients begin each round with c_k = 0. */
function scaffoldByHand(loses: (name: Name) => boolean): Float32Array {
  const total = names.reduce((sum, name) => sum + EXAMPLES[name], 0);
  let w = begin.slice();
  let c = new Float32Array(w.length);
  const own = new Map(names.map((name) => [name, new Float32Array(w.length)]));
  for (let round = 0; round < 3; round++) {
    const learningRate = cosineLearningRate({ round, rounds: 3, max: 0.1, min: 1e-6 });
    const mean = new Float64Array(w.length);
    const control = new Float64Array(w.length);
    names.forEach((name, ordinal) => {
      const ck = loses(name) ? new Float32Array(w.length) : (own.get(name) as Float32Array);
      const order = exampleOrder({ examples: EXAMPLES[name], count: 12, seed: roundSeed(1, round, ordinal) });
      const drift = c.map((value, i) => value - (ck[i] as number));
      const trained = w.slice();
      for (let step = 0; step < 4; step++) {
        for (const row of order.slice(step * 3, step * 3 + 3))
          trained[row] = (trained[row] as number) + learningRate * (1 + row);
        for (let i = 0; i < w.length; i++) trained[i] = (trained[i] as number) - learningRate * (drift[i] as number);
      }
      const next = ck.slice();
      for (let i = 0; i < w.length; i++) {
        const delta = Math.fround((trained[i] as number) - (w[i] as number));
        const change = ((w[i] as number) - (trained[i] as number)) / (4 * learningRate) - (c[i] as number);
        mean[i] = (mean[i] as number) + (EXAMPLES[name] / total) * delta;
        control[i] = (control[i] as number) + Math.fround(change) / 3;
        next[i] = (ck[i] as number) + change;
      }
      own.set(name, next);
    });
    w = w.map((value, i) => value + (mean[i] as number));
    c = c.map((value, i) => value + (control[i] as number));
  }
  return w;
}

it('scaffold: the final adapter is what the formulas give, c_k kept over reloads', async () => {
  const { vector } = await federate({ id: 'scaffold' }, calm, () => 'storage kept');
  expect(vector).toEqual(scaffoldByHand(() => false));
  expect(vector).not.toEqual((await federate({ id: 'fedavg' }, calm)).vector);
});

it('scaffold: who lost its storage begins at c_k = 0 again, and the run goes on', async () => {
  const { vector } = await federate({ id: 'scaffold' }, calm, (name) =>
    name === 'ben' ? 'storage lost' : 'storage kept',
  );
  const expected = scaffoldByHand((name) => name === 'ben');
  expect(vector).toEqual(expected);
  expect(vector).not.toEqual(scaffoldByHand(() => false));
});

/** FedAvg written out, each client going half as far again as in its last round before its first step. `loses` clients never do. */
function keptByHand(loses: (name: Name) => boolean): Float32Array {
  const total = names.reduce((sum, name) => sum + EXAMPLES[name], 0);
  const went = new Map<Name, Float32Array>();
  let w = begin.slice();
  for (let round = 0; round < 3; round++) {
    const learningRate = cosineLearningRate({ round, rounds: 3, max: 0.1, min: 1e-6 });
    const mean = new Float64Array(w.length);
    names.forEach((name, ordinal) => {
      const before = loses(name) ? undefined : went.get(name);
      const trained = w.map((value, i) => value + (before?.[i] ?? 0) / 2);
      const seed = roundSeed(1, round, ordinal);
      for (const row of exampleOrder({ examples: EXAMPLES[name], count: 12, seed })) {
        trained[row] = (trained[row] as number) + learningRate * (1 + row);
      }
      const delta = trained.map((value, i) => value - (w[i] as number));
      went.set(name, delta);
      delta.forEach((value, i) => {
        mean[i] = (mean[i] as number) + (EXAMPLES[name] / total) * value;
      });
    });
    w = w.map((value, i) => value + (mean[i] as number));
  }
  return w;
}

it('kept moments: the final adapter is what the formulas give, over reloads; who lost its storage begins anew', async () => {
  const kept = await federate({ id: 'fedavg' }, calm, () => 'storage kept', 'kept');
  expect(kept.vector).toEqual(keptByHand(() => false));
  const lost = await federate({ id: 'fedavg' }, calm, (name) => `storage ${name === 'ben' ? 'lost' : 'kept'}`, 'kept');
  expect(lost.vector).toEqual(keptByHand((name) => name === 'ben'));
  const fresh = await federate({ id: 'fedavg' }, calm);
  expect(new Set([kept, lost, fresh].map(({ adapter }) => adapter?.sha256)).size).toBe(3);
});

it.each(ALGORITHM_IDS)('%s with kept moments: a bad network and reloads lead to the same adapter', async (id) => {
  const expected = await federate({ id }, calm, undefined, 'kept');
  const stormy = await federate(
    { id },
    (name) => unreliable(createRng(`7/${name}`), 4),
    () => 'storage kept',
    'kept',
  );
  expect(stormy.adapter).toEqual(expected.adapter);
  expect(stormy.algorithmState).toEqual(expected.algorithmState);
});
