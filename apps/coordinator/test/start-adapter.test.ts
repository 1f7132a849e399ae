import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  decodeVector,
  encodeVector,
  parseRows,
  rowCount,
  runConfig,
  sha256Hex,
  tokeniseTraining,
} from '@cotune/fl-core';
import {
  adapterLayout,
  createTrainer,
  type Gpu,
  hostOf,
  initAdapter,
  type LoraConfig,
  loadModel,
  type Model,
  openModelDirectory,
  peftFiles,
} from '@cotune/kernels';
import { directorySource, openNodeGpu } from '@cotune/kernels/node';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { Coordinator } from '../src/coordinator.ts';
import { taskTrainer } from '../src/participant/local-trainer.ts';
import { openModelText } from '../src/participant/model-text.ts';
import { joinRun, modelDir, newDataDir, openRun, PATIENT, requestId, start, untilRun, useHarness } from './harness.ts';
import { plainLoop } from './plain-loop.ts';
import { root, simulate } from './simulation.test-support.ts';

useHarness();
vi.setConfig({ testTimeout: 120_000 });

const LORA = { rank: 2, alpha: 4, dropout: 0, targets: ['q_proj', 'v_proj', 'down_proj'] } satisfies LoraConfig;
const PEOPLE = { ann: ['tea', 'bread', 'salt', 'ink'], bob: ['wood', 'corn', 'silk', 'sand', 'oats'] } as const;
const MANNERS = ['soup', 'coal', 'lamp', 'rope'];
const PLAN = { rounds: 2, steps: 2, batchSize: 2, learningRate: 5e-3 };
const DPO = { task: 'dpo', dpo: { beta: 0.2, reference: 'start' }, evaluationId: 'manners', ...PLAN } as const;

let gpu: Gpu;
let model: Model;
beforeAll(async () => {
  gpu = await openNodeGpu({ allowSoftware: true });
  model = await loadModel(gpu, await openModelDirectory(directorySource(modelDir())));
});
afterAll(() => {
  model.destroy();
  gpu.destroy();
});

/** An adapter whose B is not zero. */
const lively = (lora: LoraConfig = LORA) =>
  initAdapter(adapterLayout(model.config, lora), 9).map((w, i) => w + 0.1 * Math.sin(i));

async function peftDirectory(vector: Float32Array, lora: LoraConfig = LORA): Promise<string> {
  const directory = join(await newDataDir(), 'adapter');
  mkdirSync(directory, { recursive: true });
  const files = peftFiles(adapterLayout(model.config, lora), vector, { baseModel: 'tiny' });
  for (const [name, content] of Object.entries(files)) writeFileSync(join(directory, name), content);
  return directory;
}

const pairs = (things: readonly string[]): string =>
  things.map((thing) => JSON.stringify({ prompt: `${thing}?`, chosen: 'gladly', rejected: 'no way' })).join('\n');

async function startWithPairs(): Promise<Coordinator> {
  const file = join(await newDataDir(), 'manners.jsonl');
  writeFileSync(file, pairs(MANNERS));
  return start({ evaluations: [{ id: 'manners', title: 'Manners', file }] });
}

async function trainerOf(things: readonly string[]) {
  const settings = { name: 'x', modelId: 'tiny', algorithm: { id: 'fedavg' }, lora: {}, participants: {} };
  const config = runConfig.parse({ ...settings, ...DPO, template: 'plain', maxSeqLength: 32 });
  const { tokenizer, opened } = await openModelText(await openModelDirectory(directorySource(modelDir())));
  const parsed = await parseRows('dpo', new TextEncoder().encode(pairs(things)), { fileName: 'own.jsonl' });
  const { data } = tokeniseTraining(parsed, await opened(config), tokenizer);
  return { trainer: taskTrainer(hostOf(await createTrainer(model, LORA)), data, config), examples: rowCount(data) };
}

/** A run of both to its end, and the same without a coordinator, given where it starts and DPO's reference. */
async function carriedOut(coordinator: Coordinator, config: object) {
  const { runId, token } = await openRun(coordinator, { ...config, lora: { ...LORA } });
  const finished = untilRun(coordinator, runId);
  const trainers = [];
  for (const [name, things] of Object.entries(PEOPLE)) {
    const own = await trainerOf(things);
    trainers.push({ name, ...own });
    await expect.poll(joinRun(coordinator, token, { name, ...own }).resumeToken, PATIENT).toBeDefined();
  }
  const run = await finished;
  const { participants } = await coordinator.adminCall('run:get', { runId });
  const people = trainers.map((one) => ({
    ...one,
    participantId: participants.find(({ name }) => name === one.name)?.participantId ?? '',
  }));
  return {
    run,
    async byFormulas(weights: Float32Array, reference?: Float32Array) {
      const course = {
        algorithm: { id: 'fedavg' },
        weights,
        people,
        ...PLAN,
        ...(reference && { reference }),
      } as const;
      return sha256Hex(encodeVector(await plainLoop(course), { dtype: 'f32', round: PLAN.rounds }));
    },
  };
}

test('value alignment goes on from the result of an earlier run, which is its reference', async () => {
  const coordinator = await startWithPairs();
  const againstBase = { ...DPO, dpo: { beta: DPO.dpo.beta } };
  const before = await carriedOut(coordinator, againstBase);
  const startAdapter = before.run.adapter?.sha256 ?? '';
  const response = await fetch(`${coordinator.url}${before.run.adapter?.url}`);
  const { vector } = decodeVector(new Uint8Array(await response.arrayBuffer()));

  const { run, byFormulas } = await carriedOut(coordinator, { ...DPO, name: 'from there', startAdapter });
  // The policy is its own reference at the start; the base alone is another one.
  const { margin = 1, chosen = 1, rejected = 1 } = run.baseline?.rewards ?? {};
  for (const figure of [margin, chosen, rejected]) expect(Math.abs(figure)).toBeLessThan(1e-5);
  expect(run.baseline?.lossNats).toBeCloseTo(Math.LN2, 5);
  const end = before.run.rounds.at(-1)?.evaluation?.rewards;
  expect(end?.margin).toBeGreaterThan(1e-3);
  // Held out and in training, rewards grow from the reference on.
  const margins = run.rounds.map(({ evaluation }) => evaluation?.rewards?.margin ?? Number.NaN);
  expect(margins[0]).toBeGreaterThan(0);
  expect(margins[1]).toBeGreaterThan(margins[0] ?? 0);
  expect(run.rounds[0]?.received).toHaveLength(2);

  expect(run.adapter?.sha256).toBe(await byFormulas(vector, vector));
  expect(run.adapter?.sha256).not.toBe(await byFormulas(vector));
  const against = await carriedOut(coordinator, { ...againstBase, name: 'against the base', startAdapter });
  expect(against.run.adapter?.sha256).toBe(await against.byFormulas(vector));
  expect(against.run.baseline?.rewards?.margin).toBeCloseTo(end?.margin ?? 0, 5);
});

test('a run starts from a PEFT adapter that is given', async () => {
  const coordinator = await startWithPairs();
  const vector = lively();
  const files = directorySource(await peftDirectory(vector));
  const startAdapter = await coordinator.addStartAdapter(files, { modelId: 'tiny', lora: LORA });
  const { run, byFormulas } = await carriedOut(coordinator, { ...DPO, startAdapter });
  expect(run.adapter?.sha256).toBe(await byFormulas(vector, vector));
  expect(run.baseline?.lossNats).toBeCloseTo(Math.LN2, 5);
});

const { evaluationId: _, ...DPO_SETTINGS } = DPO;
const DPO_RUN = { ...DPO_SETTINGS, template: 'plain' as const, maxSeqLength: 32, lora: LORA };

/** The same people and pairs on one device, from an adapter. */
async function simulated(
  out: string,
  adapter: string,
  change: Parameters<typeof simulate>[1] = {},
  options: Parameters<typeof simulate>[2] = {},
) {
  const from = (name: string, things: readonly string[]) => {
    writeFileSync(join(root, `${name}.jsonl`), pairs(things));
    return { from: `${name}.jsonl` };
  };
  return simulate(
    out,
    {
      model: modelDir(),
      adapter,
      data: {
        train: Object.entries(PEOPLE).map(([name, things]) => ({ ...from(name, things), clients: 1 })),
        heldOut: from('manners', MANNERS),
      },
      clients: 2,
      run: DPO_RUN,
      ...change,
    },
    options,
  );
}

test('a simulation from an adapter ends with the bits of the live run; everyone alone and all in one hand start there too', async () => {
  const coordinator = await startWithPairs();
  const directory = await peftDirectory(lively());
  const startAdapter = await coordinator.addStartAdapter(directorySource(directory), { modelId: 'tiny', lora: LORA });
  const { run } = await carriedOut(coordinator, { ...DPO, startAdapter });
  const baselines = ['local', 'pooled'] as const;
  const { record, results, failed } = await simulated('from-there', directory, { baselines: [...baselines] });
  expect(failed).toEqual([]);
  expect(record.adapter_sha256).toBe(startAdapter);
  expect(results.map(({ kind }) => kind)).toEqual(['federated', 'local', 'local', 'pooled']);
  const [federated] = results;
  expect(federated?.adapter_sha256).toBe(run.adapter?.sha256);
  expect(federated?.held_out?.rewards?.margin).toBeCloseTo(run.rounds.at(-1)?.evaluation?.rewards?.margin ?? 0, 6);
  expect(federated?.held_out?.rewards?.margin).toBeGreaterThan(0);
  for (const { cell, untuned } of results) {
    const [first = ''] = readFileSync(join(root, 'from-there', cell, 'metrics.jsonl'), 'utf8').split('\n');
    expect(JSON.parse(first)).toMatchObject({ round: -1, adapter_sha256: startAdapter });
    expect(untuned?.lossNats).toBeCloseTo(Math.LN2, 5); // everyone's reference
  }
  // A client that is first drawn in a later round downloads the reference then.
  const late = { perRound: 1, run: { ...DPO_RUN, rounds: 4, steps: 1 } };
  const drawn = await simulated('later', join(directory, 'adapter_model.safetensors'), late);
  expect(drawn.failed).toEqual([]);
  expect(Math.min(...(drawn.results[0]?.client_steps ?? [0]))).toBeGreaterThan(0);
  const lines = readFileSync(join(root, 'later', 'fedavg-seed1', 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n');
  const down = lines.map((line): number => JSON.parse(line).bytes_down).reduce((sum, bytes) => sum + bytes, 0);
  expect(down).toBe((4 + 1) * encodeVector(lively(), { dtype: 'f32', round: 0 }).byteLength);
});

test('a simulation from an adapter that is stopped in any round goes on to the same bits', async () => {
  const directory = await peftDirectory(lively());
  const whole = await simulated('whole', directory);
  for (const steps of [1, 2 * PLAN.steps + 1]) {
    const out = `stopped-${steps}`;
    const abort = new AbortController();
    let taken = 0;
    const onStep = (_: unknown, { lossNats }: { lossNats: number | null }) => {
      if (lossNats !== null && ++taken === steps) abort.abort();
    };
    const stopped = await simulated(out, directory, {}, { stop: abort.signal, onStep, checkpointEveryMs: 0 });
    expect(stopped).toMatchObject({ stopped: true, left: ['fedavg-seed1'] });
    const { results } = await simulated(out, directory);
    expect(results[0]?.adapter_sha256).toBe(whole.results[0]?.adapter_sha256);
    expect(results[0]?.held_out).toEqual(whole.results[0]?.held_out);
  }
});

test('a simulation refuses an adapter that is not the one it began with, or does not fit', async () => {
  const [begun, other] = [await peftDirectory(lively()), await peftDirectory(lively().map((w) => 2 * w))];
  await simulated('begun', begun, {}, { only: [] });
  writeFileSync(join(begun, 'adapter_model.safetensors'), readFileSync(join(other, 'adapter_model.safetensors')));
  await expect(simulated('begun', begun)).rejects.toThrow(/another experiment \(the adapter to start from: got "/);
  const misfit = await peftDirectory(lively({ ...LORA, alpha: 8 }), { ...LORA, alpha: 8 });
  await expect(simulated('misfit', misfit)).rejects.toThrow(
    /^adapter: .*: the adapter has rank 2, alpha 8, targets .*; the run has rank 2, alpha 4, /,
  );
  await expect(simulated('none', join(begun, 'nothing'))).rejects.toThrow(/^no such directory: /);
});

test('an adapter that does not fit is refused, saying what it is of', async () => {
  const coordinator = await startWithPairs();
  const add = async (lora: LoraConfig, of: object = {}) =>
    coordinator.addStartAdapter(directorySource(await peftDirectory(lively(lora), lora)), {
      modelId: 'tiny',
      lora: LORA,
      ...of,
    });
  await expect(add({ ...LORA, alpha: 8 })).rejects.toMatchObject({
    code: 'wrong-shape',
    message: expect.stringMatching(/has rank 2, alpha 8, targets .*; the run has rank 2, alpha 4, /),
  });
  await expect(add({ ...LORA, targets: ['q_proj'] })).rejects.toThrow(/targets q_proj; the run has/);
  await expect(add(LORA, { modelId: 'none' })).rejects.toMatchObject({ code: 'not-found' });
  const startAdapter = await add({ ...LORA, dropout: 0.1 });

  const create = (change: object) =>
    coordinator.adminCall('run:create', {
      requestId: requestId(),
      config: {
        name: 'x',
        modelId: 'tiny',
        algorithm: { id: 'fedavg' },
        template: 'plain',
        lora: { ...LORA },
        participants: {},
        startAdapter,
        ...change,
      },
    });
  expect((await create({})).run.config.startAdapter).toBe(startAdapter);
  await expect(create({ startAdapter: 'f'.repeat(64) })).rejects.toMatchObject({
    code: 'invalid',
    message: expect.stringMatching(/^startAdapter: there is no adapter f+ here: /),
  });
  await expect(create({ lora: { ...LORA, rank: 3 } })).rejects.toMatchObject({
    code: 'wrong-shape',
    message: expect.stringMatching(/^startAdapter: got \d+ values, expected \d+/),
  });
});
