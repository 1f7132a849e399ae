import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type AlgorithmSettingsInput,
  algorithmOf,
  parseRows,
  rowCount,
  runConfig,
  tokeniseTraining,
} from '@cotune/fl-core';
import { createTrainer, type Gpu, hostOf, loadModel, type Model, openModelDirectory } from '@cotune/kernels';
import { directorySource, openNodeGpu } from '@cotune/kernels/node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { taskTrainer } from '../src/participant/local-trainer.ts';
import { openModelText } from '../src/participant/model-text.ts';
import {
  heldOutFile,
  joinRun,
  modelDir,
  newDataDir,
  openRun,
  PATIENT,
  requestId,
  start,
  untilRun,
  useHarness,
} from './harness.ts';

useHarness();
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

/** Everybody prefers a polite answer; each asks about things of their own. */
const pairs = (things: readonly string[]): string =>
  things.map((thing) => JSON.stringify({ prompt: `${thing}?`, chosen: 'gladly', rejected: 'no way' })).join('\n');

const SETTINGS = {
  task: 'dpo',
  dpo: { beta: 0.2 },
  evaluationId: 'manners',
  rounds: 2,
  steps: 4,
  batchSize: 4,
  learningRate: 5e-3,
} as const;

/** Held-out pairs of other things. */
async function mannersFile(): Promise<string> {
  const file = join(await newDataDir(), 'manners.jsonl');
  await writeFile(file, pairs(['soup', 'coal', 'lamp', 'rope', 'milk', 'clay']));
  return file;
}

async function startWithPairs() {
  const evaluations = [
    { id: 'manners', title: 'Manners', file: await mannersFile() },
    { id: 'colours', title: 'Colours', file: heldOutFile() },
  ];
  return start({ evaluations });
}

/** A participant's trainer on the real engine, from the text of its own data file. */
async function gpuTrainer(text: string) {
  const config = runConfig.parse({
    ...SETTINGS,
    name: 'x',
    modelId: 'tiny',
    algorithm: { id: 'fedavg' },
    template: 'plain',
    maxSeqLength: 32,
    lora: {},
    participants: {},
  });
  const source = await openModelDirectory(directorySource(modelDir()));
  const { tokenizer, opened } = await openModelText(source);
  const parsed = await parseRows('dpo', new TextEncoder().encode(text), { fileName: 'own.jsonl' });
  const { data } = tokeniseTraining(parsed, await opened(config), tokenizer);
  const lora = { rank: 2, alpha: 4, dropout: 0, targets: ['q_proj', 'v_proj', 'down_proj'] } as const;
  const trainer = taskTrainer(hostOf(await createTrainer(model, lora)), data, config);
  return { trainer, examples: rowCount(data) };
}

const ALGORITHMS: readonly AlgorithmSettingsInput[] = [
  { id: 'fedavg' },
  { id: 'fedprox', hyper: { mu: 0.1 } },
  { id: 'scaffold' },
];

describe('direct preference optimisation in a federation (FedVA)', () => {
  it.each(ALGORITHMS)('two participants learn what is preferred with $id', async (algorithm) => {
    const coordinator = await startWithPairs();
    const { runId, token } = await openRun(coordinator, { ...SETTINGS, algorithm });
    const finished = untilRun(coordinator, runId);
    const rewards: unknown[] = [];
    coordinator.subscribe((event) => {
      if (event.type === 'progress') rewards.push(event.progress.rewards);
    });
    const ann = joinRun(coordinator, token, {
      name: 'ann',
      ...(await gpuTrainer(pairs(['tea', 'bread', 'salt', 'ink', 'wax']))),
    });
    const bob = joinRun(coordinator, token, {
      name: 'bob',
      ...(await gpuTrainer(pairs(['wood', 'corn', 'silk', 'sand', 'oats', 'peas']))),
    });
    const adapters: (string | undefined)[][] = [[], []];
    for (const [i, { socket }] of [ann, bob].entries())
      socket.on('run:state', (run) => adapters[i]?.push(run.adapter?.sha256));
    const run = await finished;

    const held = [run.baseline, ...run.rounds.map(({ evaluation }) => evaluation)];
    expect(held[0]).toMatchObject({ rows: 6, accuracy: 0, rewards: { margin: 0, chosen: 0, rejected: 0 } }); // a fresh adapter is the base model
    expect(held[0]?.lossNats).toBeCloseTo(Math.LN2, 6);
    const margins = held.map((metrics) => metrics?.rewards?.margin ?? Number.NaN);
    expect(margins).toHaveLength(3);
    expect(margins[1]).toBeGreaterThan(0);
    expect(margins[2]).toBeGreaterThan(margins[1] ?? 0);
    expect(held[2]?.rewards?.accuracy).toBe(1);
    expect(held[2]?.accuracy).toBe(1);
    expect(held[2]?.lossNats).toBeLessThan(held[1]?.lossNats ?? 0);
    const { chosen = 0, rejected = 0, margin = 0 } = held[2]?.rewards ?? {};
    expect(chosen - rejected).toBeCloseTo(margin, 5);
    for (const round of run.rounds) {
      expect(round.received).toHaveLength(2);
      expect(round.received.map(({ examples }) => examples).toSorted()).toEqual([5, 6]);
      for (const { rewards: own } of round.received) expect(own?.margin).toBeTypeOf('number');
    }
    expect(rewards.length).toBeGreaterThan(0);
    expect(rewards.every((one) => one !== undefined)).toBe(true);
    // Everybody ends with the same adapter.
    await expect
      .poll(() => adapters.map((seen) => seen.at(-1)), PATIENT)
      .toEqual([run.adapter?.sha256, run.adapter?.sha256]);
    expect(run.adapter?.sha256).toBe(run.rounds[1]?.adapterSha256);
    expect(algorithmOf(run.config.algorithm).id).toBe(algorithm.id);
  });

  it('has another adapter under each algorithm, and the same again from the same seed', async () => {
    const coordinator = await startWithPairs();
    const shaOf = async (algorithm: AlgorithmSettingsInput) => {
      const { runId, token } = await openRun(coordinator, {
        ...SETTINGS,
        algorithm,
        name: JSON.stringify(algorithm),
        steps: 2,
      });
      const finished = untilRun(coordinator, runId);
      for (const [i, name] of ['ann', 'bob'].entries()) {
        joinRun(coordinator, token, { name, ...(await gpuTrainer(pairs([`tea${i}`, `ink${i}`, `wax${i}`]))) });
        await untilRun(coordinator, runId, ({ participants }) => participants === i + 1); // seeds go by order of joining
      }
      return (await finished).adapter?.sha256;
    };
    const plain = await shaOf({ id: 'fedavg' });
    expect(await shaOf({ id: 'fedavg' })).toBe(plain);
    const others = [await shaOf({ id: 'fedprox', hyper: { mu: 0.5 } }), await shaOf({ id: 'scaffold' })];
    expect(new Set([plain, ...others]).size).toBe(3);
  });

  it('refuses a run whose held-out file is of the other task, saying what the file has', async () => {
    const coordinator = await startWithPairs();
    const create = (overrides: object) =>
      coordinator.adminCall('run:create', {
        requestId: requestId(),
        config: { name: 'x', modelId: 'tiny', algorithm: { id: 'fedavg' }, lora: {}, participants: {}, ...overrides },
      });
    await expect(create({ task: 'dpo', evaluationId: 'colours' })).rejects.toMatchObject({
      code: 'invalid',
      message: expect.stringMatching(/held-out\.jsonl: expected preference pairs .* dpo run.*it has 3 rows .*sft runs/),
    });
    await expect(create({ evaluationId: 'manners' })).rejects.toMatchObject({
      code: 'invalid',
      message: expect.stringMatching(
        /manners\.jsonl: expected prompts .* sft run on, but it has 6 rows of preference pairs/,
      ),
    });
    await expect(create({ evaluationId: 'nothing' })).rejects.toMatchObject({ code: 'not-found' });
    expect((await create({ task: 'dpo', evaluationId: 'manners' })).run.config.task).toBe('dpo');
    expect((await create({ evaluationId: 'colours' })).run.config.task).toBe('sft');
    expect((await create({ task: 'dpo' })).run.config.task).toBe('dpo'); // not evaluated at all
    const { evaluations } = await coordinator.adminCall('models:list', {});
    expect(evaluations.map(({ id, rows }) => [id, rows])).toEqual([
      ['manners', 6],
      ['colours', 3],
    ]);
  });
});
