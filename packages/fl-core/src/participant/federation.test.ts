import { expect, it } from 'vitest';
import { aggregateUpdates } from '../algorithms/aggregate.ts';
import { type AlgorithmSettingsInput, algorithmOf } from '../algorithms/registry.ts';
import { decodeVector, encodeVector, sha256Hex } from '../protocol/codec.ts';
import { runConfig } from '../protocol/schema.ts';
import { createRng } from '../rng.ts';
import { cosineLearningRate, planFor, roundSeed } from '../round/plan.ts';
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

/** A whole run in memory: the round rules, aggregation and three participants, each behind a network of its own. */
async function federate(
  algorithm: AlgorithmSettingsInput,
  fate: (name: Name) => () => Fate,
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
  const ends = new Map(
    names.map((name) => {
      const server = fakeCoordinator(fate(name));
      const participant = createParticipant({
        trainer: arithmeticTrainer(),
        transport: {
          ...server.transport,
          async download(url) {
            return (blobs.get(url.slice(url.lastIndexOf('/') + 1)) as Uint8Array<ArrayBuffer>).slice();
          },
        },
        storage: memoryStorage(),
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
          updateNorm: l2Norm(decodeVector(bytes).vector),
        };
        dispatch({ type: 'uploaded', atMs: 1, round: open.round, attempt: open.attempt, update });
      };
      return [name, participant] as const;
    }),
  );
  function perform(effect: Effect): void {
    if (effect.type === 'offer') {
      const { participantId, round, attempt, deadlineMs } = effect;
      const adapter = state.adapter as NonNullable<RunState['adapter']>;
      const offer = { runId: 'run', round, attempt, deadlineMs, adapter, plan: planFor(state, participantId) };
      ends.get(participantId as Name)?.onOffer(offer);
    }
    if (effect.type === 'broadcast') for (const end of ends.values()) end.onRunState(runViewOf(state));
    if (effect.type === 'aggregate') {
      const bytesOf = (sha256: string): Uint8Array => blobs.get(sha256) as Uint8Array;
      void aggregateUpdates({
        algorithm: algorithmOf(config.algorithm),
        hyper: config.algorithm.hyper,
        adapter: bytesOf(effect.adapter.sha256),
        algorithmState: null,
        round: effect.round,
        updates: effect.updates.map(({ participantId, examples, blob }) => ({
          participantId,
          examples,
          bytes: blob.bytes,
          read: async (offset, length) => bytesOf(blob.sha256).subarray(offset, offset + length),
        })),
      }).then(({ adapter }) => dispatch({ type: 'aggregated', atMs: 2, round: effect.round, adapter: put(adapter) }));
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
