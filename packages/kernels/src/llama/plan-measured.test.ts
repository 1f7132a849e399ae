import { expect, it } from 'vitest';
import { relativeL2 } from '../../test/compare.ts';
import { testGpu } from '../../test/gpu.ts';
import { randomSource } from '../../test/random-model.ts';
import { initAdapter } from '../lora/init.ts';
import { adapterLayout, LORA_TARGETS, type LoraTarget } from '../lora/layout.ts';
import type { Precision } from '../ops/precision.ts';
import { createTrainer, type Trainer } from '../train/trainer.ts';
import type { LlamaConfig } from './config.ts';
import { planMemory } from './plan.ts';
import type { Plan } from './plan-tensors.ts';
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

interface Case {
  readonly config: LlamaConfig;
  readonly dtype: 'int8' | 'f32';
  readonly precision: Precision;
  readonly plan: Plan;
  readonly targets: readonly LoraTarget[];
  readonly rank: number;
  readonly seq: number;
  readonly batch: number;
  readonly task: 'sft' | 'dpo';
  readonly proximal: boolean;
  readonly drift: boolean;
}
const QV: Case = {
  ...{ config: BASE, dtype: 'int8', precision: 'f32', plan: 'a' },
  ...{ targets: ['q_proj', 'v_proj'], rank: 8, seq: 128, batch: 3 },
  ...{ task: 'sft', proximal: false, drift: false },
};
const WIDE: Case = { ...QV, targets: LORA_TARGETS, rank: 64, seq: 64, batch: 2 };
const CASES: readonly Case[] = [
  QV,
  { ...WIDE, dtype: 'f32', plan: 'b', rank: 16, batch: 8 },
  { ...QV, config: GROUPED, precision: 'f16', targets: ['o_proj', 'up_proj'], rank: 4, seq: 192, batch: 2 },
  { ...QV, precision: 'dp4a', plan: 'b' },
  { ...WIDE, proximal: true },
  { ...WIDE, plan: 'b', drift: true },
  { ...QV, task: 'dpo', seq: 64, batch: 6 },
  { ...WIDE, config: GROUPED, plan: 'b', rank: 32, seq: 96, batch: 4, task: 'dpo', proximal: true, drift: true },
];

it.each(CASES)(
  'predicts the measured peak within 5 %: $dtype, $precision, plan $plan, $task, proximal term $proximal, drift $drift',
  async (one) => {
    const { config, dtype, precision, plan, targets, rank, seq, batch, task, proximal, drift } = one;
    const gpu = await testGpu();
    const before = gpu.memory.bytes;
    const lora = { rank, alpha: 2 * rank, dropout: 0, targets };
    const model = await loadModel(gpu, randomSource(config, dtype));
    const trainer = await createTrainer(model, lora, { precision, plan, attention: 'materialised' });
    const weights = initAdapter(trainer.layout, 1);
    trainer.setAdapter(weights);
    if (proximal) trainer.setReference(weights);
    if (drift) trainer.setDrift(weights);
    gpu.memory.resetPeak();
    const inputIds = Array.from({ length: seq + 1 }, (_, t) => (7 * t) % config.vocabSize);
    const example = { inputIds, labels: inputIds };
    const options = { learningRate: 1e-3, mu: proximal ? 0.1 : 0 };
    const pairs = Array.from({ length: batch / 2 }, () => ({ chosen: example, rejected: example }));
    if (task === 'dpo') await trainer.stepPairs(pairs, { ...options, beta: 0.1 });
    else await trainer.step(Array<typeof example>(batch).fill(example), options);
    await trainer.snapshot();
    const predicted = planMemory(config, lora, {
      ...{ dtype, precision, plan, attention: 'materialised', batch, seq, task, proximal, drift },
      bindingBytes: gpu.device.limits.maxStorageBufferBindingSize,
    });
    const measured = gpu.memory.peakBytes - before;
    expect(Math.abs(predicted.total / measured - 1)).toBeLessThan(0.05);
    expect(trainer.bytes + model.bytes).toBe(predicted.total - predicted.readBack); // the rest are uniforms and read-backs
    trainer.destroy();
    model.destroy();
  },
);

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
  // Pairs, and two more vectors of 64 × 4 × 2 × 256 numbers, for which the budget has to leave room.
  const wide = { ...lora, rank: 64 };
  const weights = initAdapter(adapterLayout(BASE, wide), 1);
  const pairs = batch.map((chosen) => ({ chosen, rejected: { ...chosen, inputIds: inputIds.toReversed() } }));
  const held = { task: 'dpo', drift: true, proximal: true } as const;
  const small = await createTrainer(model, wide, { budgetBytes: 8 * 2 ** 20, ...held });
  const correct = async (trainer: Trainer) => {
    trainer.setAdapter(weights);
    trainer.setReference(weights);
    trainer.setDrift(weights);
    gpu.memory.resetPeak();
    await trainer.stepPairs(pairs, { learningRate: 0.01, mu: 0.1, beta: 0.1 });
    await trainer.snapshot();
    return gpu.memory.peakBytes - before;
  };
  await expect(correct(small)).rejects.toThrow(/2 × 128 tokens with plan B takes .*budget is 8\.0 MiB/);
  small.destroy();
  const drifting = await createTrainer(model, wide, { budgetBytes: 9 * 2 ** 20, ...held });
  expect(await correct(drifting)).toBeLessThan(1.03 * 9 * 2 ** 20);
  drifting.destroy();
  const short = await createTrainer(model, lora, { budgetBytes: 2.5 * 2 ** 20 });
  await expect(short.gradients(batch)).rejects.toThrow(/1 × 128 tokens with plan B takes .* budget is 2\.5 MiB/);
  await expect(short.gradients([{ inputIds: [1, 2, 3], labels: [1, 2, 3] }])).resolves.toBeDefined();
  short.destroy();
  model.destroy();
});
