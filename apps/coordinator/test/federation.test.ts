import { loadTokenizer, tokenizeRows } from '@cotune/fl-core';
import { createTrainer, type Gpu, hostOf, loadModel, openModelDirectory } from '@cotune/kernels';
import { directorySource, openNodeGpu } from '@cotune/kernels/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { taskTrainer } from '../src/participant/local-trainer.ts';
import { joinRun, modelDir, openRun, PATIENT, start, untilRun, useHarness } from './harness.ts';

useHarness();
let gpu: Gpu;
beforeAll(async () => {
  gpu = await openNodeGpu({ allowSoftware: true });
});
afterAll(() => gpu.destroy());

/** A participant's trainer on the real engine, over rows of its own. */
async function gpuTrainer(words: readonly string[]) {
  const source = await openModelDirectory(directorySource(modelDir()));
  const model = await loadModel(gpu, source);
  const tokenizer = loadTokenizer(await source.tokenizerJson(), source.config);
  const rows = words.map((word, line) => ({ prompt: `${word}? `, response: word.slice(0, 1), line }));
  const { examples } = tokenizeRows(rows, { tokenizer, template: 'plain', maxSeqLength: 32 });
  const lora = { rank: 2, alpha: 4, dropout: 0, targets: ['q_proj', 'v_proj', 'down_proj'] } as const;
  const host = hostOf(await createTrainer(model, lora));
  const trainer = taskTrainer(host, { task: 'sft', examples }, { dpo: { beta: 0.1 } });
  return { trainer, examples: examples.length };
}

test('two participants on the real engine finish two rounds, and held-out loss falls', async () => {
  const coordinator = await start();
  const { runId, token } = await openRun(coordinator, { evaluationId: 'colours', steps: 4 });
  const finished = untilRun(coordinator, runId);
  const ada = joinRun(coordinator, token, { name: 'Ada', ...(await gpuTrainer(['red', 'blue', 'green', 'rose'])) });
  const bob = joinRun(coordinator, token, { name: 'Bob', ...(await gpuTrainer(['green', 'gold', 'blue', 'brown'])) });
  const run = await finished;

  expect(run.round).toBe(2);
  expect(run.rounds.map((round) => round.received.length)).toEqual([2, 2]);
  const losses = [run.baseline, ...run.rounds.map((round) => round.evaluation)].map(
    (metrics) => metrics?.lossNats ?? Number.NaN,
  );
  expect(losses[0]).toBeGreaterThan(1);
  expect(losses[2]).toBeLessThan(losses[0] ?? 0);
  const response = await fetch(`${coordinator.url}${run.adapter?.url}`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  expect(Buffer.from(await crypto.subtle.digest('SHA-256', bytes)).toString('hex')).toBe(run.adapter?.sha256);
  await expect
    .poll(() => [ada, bob].map((one) => one.activities.at(-1)?.kind), PATIENT)
    .toEqual(['finished', 'finished']);
});
