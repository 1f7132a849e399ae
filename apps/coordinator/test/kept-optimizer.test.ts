import {
  addDelta,
  encodeVector,
  type ParticipantStorage,
  parseRows,
  type RunConfig,
  sha256Hex,
  storageSlot,
  subtract,
  type TrainingData,
  tokeniseTraining,
} from '@cotune/fl-core';
import {
  createTrainer,
  type Gpu,
  hostOf,
  initAdapter,
  loadModel,
  type Model,
  openModelDirectory,
  train,
} from '@cotune/kernels';
import { directorySource, openNodeGpu } from '@cotune/kernels/node';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { openDataSource } from '../src/data-source/open.ts';
import { assets } from '../src/demo/assets.ts';
import { taskTrainer } from '../src/participant/local-trainer.ts';
import { openModelText } from '../src/participant/model-text.ts';
import { fileStorage } from '../src/participant/storage.ts';
import type { ExperimentConfigInput } from '../src/simulation/config.ts';
import type { TrainingJob } from '../src/simulation/virtual-client.ts';
import { joinRun, newDataDir, openRun, PATIENT, start, untilRun, useHarness } from './harness.ts';
import { root, simulate } from './simulation.test-support.ts';

useHarness();
vi.setConfig({ testTimeout: 240_000 });

const SEED = 5;
const RUN = {
  template: 'plain',
  rounds: 3,
  steps: 3,
  batchSize: 2,
  maxSeqLength: 32,
  learningRate: 1e-2,
  learningRateSchedule: 'constant',
  optimizerState: 'kept',
  lora: { rank: 4, alpha: 8, targets: ['q_proj', 'down_proj'] },
} satisfies Partial<ExperimentConfigInput['run']>;

let gpu: Gpu;
let model: Model;
beforeAll(async () => {
  gpu = await openNodeGpu({ allowSoftware: true });
  model = await loadModel(gpu, await openModelDirectory(directorySource(assets.demoModel())));
});
afterAll(() => {
  gpu.destroy();
});

const newTrainer = () => createTrainer(model, { ...RUN.lora, dropout: 0 });

test('one client a round with fedavg and kept moments is one long training', async () => {
  const jobs: { job: TrainingJob; data: TrainingData }[] = [];
  const simulated = async (out: string, run: Partial<ExperimentConfigInput['run']>) => {
    const onJob = async (_cell: unknown, job: TrainingJob, data: TrainingData) => void jobs.push({ job, data });
    const { results } = await simulate(out, { clients: 1, run: { ...RUN, ...run }, seeds: [SEED] }, { onJob });
    return results[0]?.adapter_sha256;
  };
  const sha256 = await simulated('kept', {});
  const rows = jobs.flatMap(({ job, data }) =>
    job.order.map((index) => {
      const row = data.task === 'sft' ? data.examples[index] : undefined;
      if (!row) throw new Error(`no row ${index}`);
      return row;
    }),
  );
  const { rounds, steps, batchSize, learningRate } = RUN;
  expect(rows).toHaveLength(rounds * steps * batchSize);
  const settings = { batchSize, learningRate, clipNorm: 1 };

  // Handed on from round to round as the wire carries it: w + f32(trained − w). Then the bits are the same.
  const trainer = await newTrainer();
  const first = initAdapter(trainer.layout, SEED);
  let weights: Float32Array = first;
  for (let round = 0; round < rounds; round++) {
    trainer.setAdapter(weights);
    await train(trainer, rows, { ...settings, startStep: round * steps, steps: (round + 1) * steps });
    weights = addDelta(weights, Float64Array.from(subtract(await trainer.adapter(), weights)));
  }
  expect(sha256Hex(encodeVector(weights, { dtype: 'f32', round: rounds }))).toBe(sha256);

  // Not handed on at all, it differs by the rounding of the delta and what comes of that.
  trainer.setAdapter(first);
  trainer.resetOptimizer();
  await train(trainer, rows, { ...settings, steps: rounds * steps });
  const whole = await trainer.adapter();
  trainer.destroy();
  const farthest = (a: Float32Array, b: Float32Array) =>
    a.reduce((most, x, i) => Math.max(most, Math.abs(x - (b[i] ?? 0))), 0);
  expect(farthest(whole, weights)).toBeLessThan(1e-4 * farthest(whole, first)); // 2e-6 on llvmpipe

  expect(await simulated('fresh', { optimizerState: 'fresh' })).not.toBe(sha256);
});

/** What somebody's training needs, as `cotune join` makes it. */
async function rowsOf(ordinal: number, run: RunConfig): Promise<TrainingData> {
  const source = await openModelDirectory(directorySource(assets.demoModel()));
  const { tokenizer, opened } = await openModelText(source);
  const { bytes, fileName } = await openDataSource(assets.demoShard(ordinal), root);
  return tokeniseTraining(await parseRows('sft', bytes, { fileName }), await opened(run), tokenizer).data;
}

/** Storage that the process is killed at, as soon as something is stored whose name begins so: it reaches nothing after that. */
function mortal(storage: ParticipantStorage, at: string | null, onKilled: () => void): ParticipantStorage {
  let dead = false;
  const never = new Promise<never>(() => {});
  return {
    get: (key) => (dead ? never : storage.get(key)),
    async set(key, value) {
      if (dead) return never;
      await storage.set(key, value);
      if (at === null || !key.startsWith(at)) return;
      dead = true;
      onKilled();
      return never;
    },
    delete: (key) => (dead ? never : storage.delete(key)),
  };
}

/** A run of two; `kills` names what participant 1 stores last in each of its lives but the last one. */
async function live(algorithm: 'fedavg' | 'scaffold', kills: readonly string[]): Promise<string | undefined> {
  const coordinator = await start({ demo: true });
  const { runId, token } = await openRun(coordinator, {
    ...RUN,
    lora: { ...RUN.lora },
    modelId: 'demo',
    seed: SEED,
    algorithm: { id: algorithm },
    participants: { min: 2, max: 2 },
  });
  const { run } = await coordinator.adminCall('run:get', { runId });
  const data = await Promise.all([1, 2].map((ordinal) => rowsOf(ordinal, run.config)));
  const come = async (ordinal: number, directory: string, secret: string, at: string | null) => {
    let killed = () => {};
    const death = new Promise<void>((resolve) => {
      killed = resolve;
    });
    const storage = mortal(fileStorage(directory), at, killed);
    const rows = data[ordinal - 1] as TrainingData;
    const checkpoints = storageSlot(storage, 'checkpoint');
    const person = joinRun(coordinator, secret, {
      name: `participant ${ordinal}`,
      trainer: taskTrainer(hostOf(await newTrainer()), rows, run.config, { checkpoints }),
      examples: rows.task === 'sft' ? rows.examples.length : 0,
      storage,
      reconnection: at === null,
    });
    await expect.poll(() => person.resumeToken(), PATIENT).toBeDefined();
    return { person, death, resumeToken: person.resumeToken() ?? '' };
  };
  const finished = untilRun(coordinator, runId);
  const directory = await newDataDir();
  let one = await come(1, directory, token, kills[0] ?? null);
  await come(2, await newDataDir(), token, null);
  for (let life = 1; life <= kills.length; life++) {
    await one.death;
    one.person.socket.disconnect();
    one = await come(1, directory, one.resumeToken, kills[life] ?? null);
  }
  const end = await finished;
  expect(end.rounds.map(({ kept, received }) => [kept, received.length])).toEqual(
    Array.from({ length: RUN.rounds }, () => [false, 2]),
  );
  return end.adapter?.sha256;
}

test.each(['fedavg', 'scaffold'] as const)(
  '%s with kept moments: a participant killed within and between rounds changes no bit, and a simulation has the same ones',
  async (id) => {
    const undisturbed = await live(id, []);
    // After its update was accepted, after a step, after training, and after its update went into the model.
    const kills = ['next-state', 'checkpoint', 'update', 'state'];
    expect(await live(id, kills)).toBe(undisturbed);
    const simulated = async (run: Partial<ExperimentConfigInput['run']>) => {
      const train = [1, 2].map((ordinal) => ({ from: assets.demoShard(ordinal), clients: 1 }));
      const { results } = await simulate(`${id}-${run?.optimizerState ?? 'kept'}`, {
        data: { train },
        clients: 2,
        run: { ...RUN, ...run },
        algorithms: [{ id }],
        seeds: [SEED],
      });
      return results[0]?.adapter_sha256;
    };
    expect(await simulated({})).toBe(undisturbed);
    expect(await simulated({ optimizerState: 'fresh' })).not.toBe(undisturbed);
  },
);
