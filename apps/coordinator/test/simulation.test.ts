import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { addDelta, encodeVector, sha256Hex, subtract, type TrainingData } from '@cotune/fl-core';
import {
  adapterLayout,
  createTrainer,
  hostOf,
  initAdapter,
  loadModel,
  openModelDirectory,
  trainResumably,
} from '@cotune/kernels';
import { directorySource, openNodeGpu } from '@cotune/kernels/node';
import { expect, test, vi } from 'vitest';
import { assets } from '../src/demo/assets.ts';
import type { ExperimentConfigInput } from '../src/simulation/config.ts';
import { experimentRecord, roundRecord } from '../src/simulation/records.ts';
import type { TrainingJob } from '../src/simulation/virtual-client.ts';
import { CONFIG, LORA, root, simulate } from './simulation.test-support.ts';

vi.setConfig({ testTimeout: 240_000 });

const linesOf = (out: string, cell: string) =>
  readFileSync(join(root, out, cell, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => roundRecord.parse(JSON.parse(line)));

/** What must not depend on how often a simulation was stopped. */
const withoutTime = <T extends { seconds: number }>({ seconds: _seconds, ...rest }: T) => rest;

test('one client a round with fedavg is training alone on the rows in the order in which they were taken', async () => {
  const jobs: { job: TrainingJob; data: TrainingData }[] = [];
  const { results } = await simulate(
    'alone',
    { perRound: 1, run: { ...CONFIG.run, rounds: 3 } },
    { onJob: async (_cell, job, data) => void jobs.push({ job, data }) },
  );
  expect(new Set(jobs.map(({ job }) => job.ordinal)).size).toBeGreaterThan(1);

  const gpu = await openNodeGpu({ allowSoftware: true });
  const model = await loadModel(gpu, await openModelDirectory(directorySource(assets.demoModel())));
  const trainer = await createTrainer(model, LORA);
  let weights: Float32Array = initAdapter(adapterLayout(model.config, LORA), 1);
  for (const { job, data } of jobs) {
    if (data.task !== 'sft') throw new Error('expected rows');
    const rows = job.order.map((index) => data.examples[index] as (typeof data.examples)[number]);
    const { steps, batchSize, learningRate, clipNorm, weightDecay, seed: dropoutSeed } = job;
    const settings = { steps, batchSize, learningRate, clipNorm, weightDecay, dropoutSeed, mu: 0 };
    const order = rows.map((_, i) => i);
    const { adapter: trained } = await trainResumably(hostOf(trainer), rows, { ...settings, weights, order });
    weights = addDelta(weights, Float64Array.from(subtract(trained, weights)));
  }
  gpu.destroy();
  expect(sha256Hex(encodeVector(weights, { dtype: 'f32', round: 3 }))).toBe(results[0]?.adapter_sha256);
});

test('baselines take the steps of a client that is in every round; a stopped experiment goes on to the same figures', async () => {
  const config: Partial<ExperimentConfigInput> = {
    data: { train: [{ from: 'demo', maxRows: 40 }], heldOut: { share: 0.2 } },
    clients: 2,
    algorithms: [{ id: 'scaffold' }],
    baselines: ['local', 'pooled'],
  };
  const whole = await simulate('whole', config);
  expect(whole.failed).toEqual([]);
  expect(whole.results.map(({ cell }) => cell)).toEqual([
    'scaffold-seed1',
    'local-seed1-client0',
    'local-seed1-client1',
    'pooled-seed1',
  ]);
  expect(whole.results.map(({ steps, examples }) => [steps, examples.reduce((sum, rows) => sum + rows, 0)])).toEqual([
    [2, 32],
    [2, 32],
    [2, 32],
    [4, 32],
  ]);
  expect(whole.results.every(({ held_out, untuned }) => held_out?.rows === 8 && untuned?.rows === 8)).toBe(true);
  expect(linesOf('whole', 'local-seed1-client1').map(({ clients }) => clients)).toEqual([[], [1], [1]]);
  expect(linesOf('whole', 'pooled-seed1').map(({ bytes_up }) => bytes_up > 0)).toEqual([false, true, true]);
  expect(readdirSync(join(root, 'whole', 'scaffold-seed1')).sort()).toEqual([
    'adapter',
    'metrics.jsonl',
    'result.json',
  ]);

  for (let stopped = 0, calls = 0; stopped < 100; stopped++) {
    const abort = new AbortController();
    let steps = 0;
    const outcome = await simulate('stopped', config, {
      stop: abort.signal,
      checkpointEveryMs: 0,
      onStep: (_cell, { lossNats }) => {
        if (lossNats !== null && ++steps === 7) abort.abort(); // in the middle of a training
      },
    });
    calls++;
    if (!outcome.stopped) {
      expect(calls).toBeGreaterThan(2);
      expect(outcome.results.map(withoutTime)).toEqual(whole.results.map(withoutTime));
      break;
    }
    expect(outcome.left.length).toBeGreaterThan(0);
  }
  for (const { cell } of whole.results)
    expect(linesOf('stopped', cell).map(withoutTime)).toEqual(linesOf('whole', cell).map(withoutTime));
});

test('another experiment in the same directory is refused by the name of what differs; --resume wants a beginning', async () => {
  await expect(simulate('refused', {}, { resume: true })).rejects.toThrow(/holds no experiment to go on with/);
  await simulate('refused', {}, { only: ['fedavg-seed1'] });
  const record = experimentRecord.parse(JSON.parse(readFileSync(join(root, 'refused', 'experiment.json'), 'utf8')));
  expect(record.config.run.steps).toBe(2);
  await expect(simulate('refused', { seeds: [2] })).rejects.toThrow(/configuration.seeds.0: got 2, there it is 1/);
  await expect(simulate('refused', {}, { clientsLimit: 2 })).rejects.toThrow(
    /--clients-limit: got 2, there it is null/,
  );
  await expect(simulate('refused', {}, { only: ['fedsgd-seed1'] })).rejects.toThrow(/no cell "fedsgd-seed1"/);
  expect(existsSync(join(root, 'refused', 'coordinator.lock'))).toBe(false);
});

test('a client that diverges is left out of its round; when all do, the cell fails and the next one is run', async () => {
  const bad = { learningRate: 1e38, clipNorm: 0 };
  const outcome = await simulate('diverged', { run: { ...CONFIG.run, ...bad }, baselines: ['pooled'] });
  expect(outcome.failed.map(({ cell }) => cell)).toEqual(['fedavg-seed1', 'pooled-seed1']);
  expect(outcome.failed[0]?.reason).toMatch(/round 1: no client could finish/);
});

test('preference pairs are simulated as rows are', async () => {
  const pairs = Array.from({ length: 24 }, (_, i) => ({
    prompt: `news ${i % 6}: `,
    chosen: i % 2 ? 'positive' : 'negative',
    rejected: 'neutral',
  }));
  writeFileSync(join(root, 'pairs.jsonl'), pairs.map((pair) => JSON.stringify(pair)).join('\n'));
  const { results, failed } = await simulate('pairs', {
    data: { train: [{ from: 'pairs.jsonl', dedupe: 'none' }], heldOut: { share: 0.25 } },
    run: { ...CONFIG.run, task: 'dpo' },
    clients: 2,
    algorithms: [{ id: 'fedprox' }],
  });
  expect(failed).toEqual([]);
  const [untuned, ...rounds] = linesOf('pairs', 'fedprox-seed1');
  expect(untuned?.held_out?.rewards?.margin).toBe(0);
  expect(rounds.at(-1)?.held_out?.rewards?.margin).toBeGreaterThan(0);
  expect(rounds.at(-1)?.train_rewards?.margin).toBeGreaterThan(0);
  expect(results[0]?.held_out?.accuracy).toBeGreaterThan(0.5);
});
