import { expect, it } from 'vitest';
import { relativeL2 } from '../../test/compare.ts';
import { testGpu } from '../../test/gpu.ts';
import { randomSource } from '../../test/random-model.ts';
import { initAdapter } from '../lora/init.ts';
import { LORA_TARGETS, type LoraTarget } from '../lora/layout.ts';
import { createTrainer } from '../train/trainer.ts';
import type { LlamaConfig } from './config.ts';
import { planMemory } from './plan.ts';
import { loadModel } from './weights.ts';

const BASE: LlamaConfig = {
  vocabSize: 512,
  hiddenSize: 128,
  intermediateSize: 344,
  layers: 4,
  heads: 4,
  kvHeads: 4,
  headDim: 32,
  ropeTheta: 10000,
  ropeScaling: null,
  rmsNormEps: 1e-5,
  tiedEmbeddings: false,
  maxPositions: 256,
  bosTokenId: 1,
  eosTokenIds: [2],
};
const GROUPED = {
  ...BASE,
  hiddenSize: 192,
  intermediateSize: 512,
  layers: 2,
  heads: 6,
  kvHeads: 2,
  tiedEmbeddings: true,
};

it.each([
  {
    config: BASE,
    dtype: 'int8',
    precision: 'f32',
    plan: 'a',
    targets: ['q_proj', 'v_proj'],
    rank: 8,
    seq: 128,
    batch: 3,
  },
  { config: BASE, dtype: 'f32', precision: 'f32', plan: 'b', targets: LORA_TARGETS, rank: 16, seq: 64, batch: 8 },
  {
    config: GROUPED,
    dtype: 'int8',
    precision: 'f16',
    plan: 'a',
    targets: ['o_proj', 'up_proj'],
    rank: 4,
    seq: 192,
    batch: 2,
  },
] as const)('predicts the measured peak within 5 %: $dtype, $precision, plan $plan', async (one) => {
  const { config, dtype, precision, plan, targets, rank, seq, batch } = one;
  const gpu = await testGpu();
  const before = gpu.memory.bytes;
  const lora = { rank, alpha: 2 * rank, dropout: 0, targets: targets as readonly LoraTarget[] };
  const model = await loadModel(gpu, randomSource(config, dtype));
  const trainer = await createTrainer(model, lora, { precision, plan });
  trainer.setAdapter(initAdapter(trainer.layout, 1));
  gpu.memory.resetPeak();
  const inputIds = Array.from({ length: seq + 1 }, (_, t) => (7 * t) % config.vocabSize);
  const examples = Array.from({ length: batch }, () => ({ inputIds, labels: inputIds }));
  await trainer.step(examples, { learningRate: 1e-3 });
  const predicted = planMemory(config, lora, {
    dtype,
    precision,
    plan,
    attention: 'materialised',
    batch,
    seq,
    bindingBytes: gpu.device.limits.maxStorageBufferBindingSize,
  });
  const measured = gpu.memory.peakBytes - before;
  expect(Math.abs(predicted.total / measured - 1)).toBeLessThan(0.05);
  expect(trainer.bytes + model.bytes).toBeLessThanOrEqual(measured);
  trainer.destroy();
  model.destroy();
});

it('keeps a trainer within its budget, or says what would fit', async () => {
  const gpu = await testGpu();
  const before = gpu.memory.bytes;
  const lora = { rank: 8, alpha: 16, dropout: 0, targets: ['q_proj', 'v_proj'] as const };
  const model = await loadModel(gpu, randomSource(BASE, 'int8'));
  const inputIds = Array.from({ length: 101 }, (_, t) => (7 * t) % BASE.vocabSize);
  const batch = Array.from({ length: 6 }, () => ({ inputIds, labels: inputIds }));
  const gradients = [];
  for (const mebibytes of [64, 8, 5]) {
    const budgetBytes = mebibytes * 2 ** 20;
    const trainer = await createTrainer(model, lora, { budgetBytes });
    trainer.setAdapter(initAdapter(trainer.layout, 1));
    gpu.memory.resetPeak();
    gradients.push(await trainer.gradients(batch));
    expect(gpu.memory.peakBytes - before).toBeLessThan(1.03 * budgetBytes);
    trainer.destroy();
  }
  for (const gradient of gradients) expect(relativeL2(gradient, gradients[0] ?? [])).toBeLessThan(1e-5);
  await expect(createTrainer(model, lora, { budgetBytes: 2 ** 20 })).rejects.toThrow(/budget is 1\.0 MiB.*weights and/);
  const short = await createTrainer(model, lora, { budgetBytes: 2.5 * 2 ** 20 });
  await expect(short.gradients(batch)).rejects.toThrow(/1 × 128 tokens with plan B takes .* budget is 2\.5 MiB/);
  await expect(short.gradients([{ inputIds: [1, 2, 3], labels: [1, 2, 3] }])).resolves.toBeDefined();
  short.destroy();
  model.destroy();
});
