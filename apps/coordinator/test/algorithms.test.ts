import {
  ALGORITHM_IDS,
  type AlgorithmId,
  algorithmOf,
  algorithmSettings,
  encodeVector,
  type LocalTrainer,
  loadTokenizer,
  type RunView,
  sha256Hex,
  tokenizeRows,
} from '@cotune/fl-core';
import {
  adapterLayout,
  createTrainer,
  type Gpu,
  hostOf,
  initAdapter,
  loadModel,
  type Model,
  openModelDirectory,
} from '@cotune/kernels';
import { directorySource, openNodeGpu } from '@cotune/kernels/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { taskTrainer } from '../src/participant/local-trainer.ts';
import { joinRun, modelDir, openRun, PATIENT, start, untilRun, useHarness } from './harness.ts';
import { plainLoop } from './plain-loop.ts';

useHarness();

const LORA = { rank: 2, alpha: 4, dropout: 0, targets: ['q_proj', 'v_proj', 'down_proj'] } as const;
const ROUNDS = 2;
const STEPS = 2;
const BATCH = 2;
const PEOPLE = [
  { name: 'Ada', words: ['red', 'blue', 'green'] },
  { name: 'Bob', words: ['rose', 'gold', 'brown', 'beige', 'grey'] },
];

let gpu: Gpu;
let model: Model;
const trainers: { name: string; trainer: LocalTrainer; examples: number }[] = [];

beforeAll(async () => {
  gpu = await openNodeGpu({ allowSoftware: true });
  const source = await openModelDirectory(directorySource(modelDir()));
  model = await loadModel(gpu, source);
  const tokenizer = loadTokenizer(await source.tokenizerJson(), source.config);
  for (const { name, words } of PEOPLE) {
    const rows = words.map((word, line) => ({ prompt: `${word}? `, response: word.slice(0, 1), line }));
    const { examples } = tokenizeRows(rows, { tokenizer, template: 'plain', maxSeqLength: 32 });
    const host = hostOf(await createTrainer(model, LORA));
    const trainer = taskTrainer(host, { task: 'sft', examples }, { dpo: { beta: 0.1 } });
    trainers.push({ name, trainer, examples: examples.length });
  }
});
afterAll(() => gpu.destroy());

/** A run of both people over sockets, on the engine; joined one after the other, so that Ada is 0 and Bob is 1. */
async function liveRun(id: AlgorithmId, optimizerState: 'fresh' | 'kept' = 'fresh') {
  const coordinator = await start();
  const optimiser = { learningRate: 1e-2, optimizerState };
  const config = { algorithm: { id }, rounds: ROUNDS, steps: STEPS, batchSize: BATCH, ...optimiser };
  const { runId, token } = await openRun(coordinator, config);
  const finished = untilRun(coordinator, runId);
  const seen: (RunView | undefined)[] = [];
  for (const [i, person] of trainers.entries()) {
    const one = joinRun(coordinator, token, person);
    one.socket.on('run:state', (run) => {
      seen[i] = run;
    });
    await expect.poll(() => one.resumeToken(), PATIENT).toBeDefined();
  }
  const run = await finished;
  await expect.poll(() => seen.map((view) => view?.phase), PATIENT).toEqual(['finished', 'finished']);
  const { participants } = await coordinator.adminCall('run:get', { runId });
  const idOf = (name: string) => participants.find((one) => one.name === name)?.participantId ?? '';
  return { coordinator, run, seen, ids: trainers.map(({ name }) => idOf(name)) };
}

const adapters = new Map<string, string>();

test.each(ALGORITHM_IDS)('%s: a live run of two participants ends where its formulas end', async (id) => {
  const { coordinator, run, seen, ids } = await liveRun(id);
  const trained = algorithmOf(algorithmSettings.parse({ id })).exchanges ? 2 : 1;
  expect(run.rounds.map(({ kept, received }) => [kept, received.length])).toEqual([
    [false, trained],
    [false, trained],
  ]);
  const sha256 = run.adapter?.sha256 ?? '';
  for (const view of seen) {
    expect(view?.adapter?.sha256).toBe(sha256);
    const response = await fetch(`${coordinator.url}${view?.adapter?.url}`);
    expect(sha256Hex(new Uint8Array(await response.arrayBuffer()))).toBe(sha256);
  }
  expect(sha256).toBe(await byFormulas(id, ids));
  adapters.set(id, sha256);
});

/** sha256 of the adapter at the end, without a coordinator. */
async function byFormulas(id: AlgorithmId, ids: readonly string[], optimizerState: 'fresh' | 'kept' = 'fresh') {
  const end = await plainLoop({
    algorithm: { id },
    weights: initAdapter(adapterLayout(model.config, LORA), 1),
    rounds: ROUNDS,
    steps: STEPS,
    batchSize: BATCH,
    learningRate: 1e-2,
    optimizerState,
    people: trainers.map((person, ordinal) => ({ ...person, participantId: ids[ordinal] ?? '' })),
  });
  return sha256Hex(encodeVector(end, { dtype: 'f32', round: ROUNDS }));
}

test.each(['fedprox', 'scaffold', 'fedadam'] as const)(
  '%s with kept moments ends where its formulas end',
  async (id) => {
    const { run, ids } = await liveRun(id, 'kept');
    expect(run.adapter?.sha256).toBe(await byFormulas(id, ids, 'kept'));
    expect(run.adapter?.sha256).not.toBe(adapters.get(id));
  },
);

test('every algorithm ends somewhere else', () => {
  expect([...adapters.keys()]).toEqual(ALGORITHM_IDS);
  expect(new Set(adapters.values()).size).toBe(ALGORITHM_IDS.length);
});
