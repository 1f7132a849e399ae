import { ALGORITHM_IDS, type AlgorithmId, parseRows, type RunConfig, tokeniseTraining } from '@cotune/fl-core';
import { createTrainer, type Gpu, hostOf, loadModel, type Model, openModelDirectory } from '@cotune/kernels';
import { directorySource, openNodeGpu } from '@cotune/kernels/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openDataSource } from '../src/data-source/open.ts';
import { assets } from '../src/demo/assets.ts';
import { taskTrainer } from '../src/participant/local-trainer.ts';
import { openModelText } from '../src/participant/model-text.ts';
import type { ExperimentConfigInput } from '../src/simulation/config.ts';
import { joinRun, openRun, start, untilRun, useHarness } from './harness.ts';
import { root, simulate } from './simulation.test-support.ts';

useHarness();

const RUN = {
  template: 'plain',
  rounds: 2,
  steps: 2,
  batchSize: 4,
  maxSeqLength: 32,
  learningRate: 1e-2,
  lora: { rank: 4, alpha: 8, dropout: 0.1, targets: ['q_proj', 'down_proj'] },
} satisfies Partial<ExperimentConfigInput['run']>;
const SEED = 7;
const PARTICIPANTS = [1, 2, 3];

let gpu: Gpu;
let model: Model;
beforeAll(async () => {
  gpu = await openNodeGpu({ allowSoftware: true });
  model = await loadModel(gpu, await openModelDirectory(directorySource(assets.demoModel())));
});
afterAll(() => {
  gpu.destroy();
});

async function simulated(ids: readonly AlgorithmId[], out: string): Promise<(string | undefined)[]> {
  const { results, failed } = await simulate(out, {
    data: { train: PARTICIPANTS.map((ordinal) => ({ from: assets.demoShard(ordinal), clients: 1 })) },
    clients: PARTICIPANTS.length,
    run: RUN,
    perRound: 2,
    algorithms: ids.map((id) => ({ id })) as ExperimentConfigInput['algorithms'],
    seeds: [SEED],
  });
  expect(failed).toEqual([]);
  return results.map((result) => result.adapter_sha256);
}

/** A participant's rows and trainer, as `cotune join` makes them. */
async function participantOf(ordinal: number, run: RunConfig) {
  const source = await openModelDirectory(directorySource(assets.demoModel()));
  const { tokenizer, opened } = await openModelText(source);
  const { bytes, fileName } = await openDataSource(assets.demoShard(ordinal), root);
  const { data } = tokeniseTraining(await parseRows('sft', bytes, { fileName }), await opened(run), tokenizer);
  const trainer = taskTrainer(hostOf(await createTrainer(model, RUN.lora)), data, run);
  return { trainer, examples: data.task === 'sft' ? data.examples.length : 0 };
}

async function live(id: AlgorithmId): Promise<string | undefined> {
  const coordinator = await start({ demo: true });
  const { runId, token } = await openRun(coordinator, {
    ...RUN,
    lora: { ...RUN.lora },
    modelId: 'demo',
    seed: SEED,
    algorithm: { id },
    participants: { min: 3, max: 3, perRound: 2 },
  });
  const { run } = await coordinator.adminCall('run:get', { runId });
  for (const ordinal of PARTICIPANTS) {
    joinRun(coordinator, token, { name: `participant ${ordinal}`, ...(await participantOf(ordinal, run.config)) });
    await untilRun(coordinator, runId, ({ participants }) => participants === ordinal);
  }
  return (await untilRun(coordinator, runId)).adapter?.sha256;
}

test('a live run of the same people in the same order ends with the adapter of its simulation', async () => {
  const ids = ALGORITHM_IDS.filter((id) => id === 'fedavg' || (id as string) === 'scaffold');
  const adapters = await simulated(ids, 'live');
  for (const [i, id] of ids.entries()) expect({ id, sha256: await live(id) }).toEqual({ id, sha256: adapters[i] });
});
