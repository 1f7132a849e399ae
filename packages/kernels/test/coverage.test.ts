import { describe, expect, it } from 'vitest';
import type { LlamaConfig } from '../src/llama/config.ts';
import { loadModel } from '../src/llama/weights.ts';
import { LORA_TARGETS, type LoraConfig } from '../src/lora/layout.ts';
import { uniform } from '../src/lora/uniform.ts';
import { modelTensors } from '../src/quantize/model-tensors.ts';
import type { TokenizedExample } from '../src/train/batch.ts';
import { createTrainer, type TrainerOptions } from '../src/train/trainer.ts';
import { relativeL2 } from './compare.ts';
import { referenceLoss } from './coverage-reference.ts';
import { testGpu } from './gpu.ts';
import { randomSource, TINY } from './random-model.ts';
import { dot } from './reference.ts';

const ALL: LoraConfig = { rank: 3, alpha: 6, dropout: 0, targets: LORA_TARGETS };

function examples(config: LlamaConfig, lengths: readonly number[]): TokenizedExample[] {
  return lengths.map((length, row) => {
    const inputIds = Array.from({ length }, (_, t) => Math.floor(uniform(7, row * 4096 + t) * config.vocabSize));
    return { inputIds, labels: inputIds.map((id, t) => (t % 3 === row % 3 || t === length - 1 ? id : -100)) };
  });
}

/** Loss and gradient of a random adapter whose B is not zero, so that every gradient is alive. */
async function measure(
  config: LlamaConfig,
  lora: LoraConfig,
  batch: readonly TokenizedExample[],
  options: TrainerOptions,
) {
  const source = randomSource(config, 'f32');
  const model = await loadModel(await testGpu(), source);
  const trainer = await createTrainer(model, lora, options);
  const { layout } = trainer;
  const adapter = Float32Array.from({ length: layout.length }, (_, i) => 0.5 * (uniform(3, i) - 0.5));
  trainer.setAdapter(adapter);
  const gradient = await trainer.gradients(batch);
  const { lossNats } = await trainer.evaluate(batch);
  trainer.destroy();
  model.destroy();
  const tensors = await Promise.all(
    modelTensors(config).map(async ({ name }) => [name, await source.tensor(name)] as const),
  );
  const weights = new Map(tensors.map(([name, tensor]) => [name, tensor.dtype === 'f32' ? tensor.data : []]));
  const reference = { config, layout, weight: (name: string): ArrayLike<number> => weights.get(name) ?? [] };
  return { layout, adapter, gradient, lossNats, reference };
}

/** The slopes of the float64 loss along a few random directions of each target's tensors, by central differences. */
async function expectLossAndSlopes(
  config: LlamaConfig,
  lora: LoraConfig,
  lengths: number[],
  options: TrainerOptions = {},
) {
  const batch = examples(config, lengths);
  const { layout, adapter, gradient, lossNats, reference } = await measure(config, lora, batch, options);
  expect(Math.abs(lossNats / referenceLoss(reference, adapter, batch) - 1)).toBeLessThan(1e-5);
  for (const target of lora.targets) {
    const direction = new Float64Array(layout.length);
    for (const { name, offset, shape } of layout.tensors) {
      if (!name.includes(target)) continue;
      for (let i = offset; i < offset + shape[0] * shape[1]; i++) direction[i] = uniform(11, i) - 0.5;
    }
    const moved = (h: number) =>
      referenceLoss(
        reference,
        Array.from(adapter, (w, i) => w + h * (direction[i] ?? 0)),
        batch,
      );
    const slope = (moved(1e-4) - moved(-1e-4)) / 2e-4;
    const size = Math.sqrt(dot(direction, direction) * dot(gradient, gradient));
    expect(Math.abs(dot(gradient, direction) - slope) / size, target).toBeLessThan(2e-5);
    expect(Math.abs(slope) / size, `${target}: a slope that says something`).toBeGreaterThan(1e-4);
  }
}

describe('LoRA on all seven linears', () => {
  it.each([1, 5, 128])('of rank %i', async (rank) => {
    await expectLossAndSlopes(TINY, { ...ALL, rank, alpha: 2 * rank }, [9, 14]);
  });
});

describe('attention heads', () => {
  const wide = { ...TINY, layers: 1, hiddenSize: 32, heads: 8, headDim: 4 };
  it.each([
    { name: 'eight to one', config: { ...wide, kvHeads: 1 } },
    { name: 'each with its own keys, untied', config: { ...wide, kvHeads: 8, tiedEmbeddings: false } },
    { name: 'tied embeddings', config: { ...wide, kvHeads: 4, tiedEmbeddings: true } },
  ])('$name', async ({ config }) => {
    for (const attention of ['materialised', 'flash'] as const)
      await expectLossAndSlopes(config, { ...ALL, targets: ['q_proj', 'k_proj', 'v_proj'] }, [13, 6], { attention });
  });
});

describe('rope_scaling', () => {
  const long = { ...TINY, layers: 1, hiddenSize: 16, heads: 2, kvHeads: 1, headDim: 8, ropeTheta: 100 };
  const llama3 = { type: 'llama3', factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositions: 96 } as const;
  it.each([
    { name: 'linear', ropeScaling: { type: 'linear', factor: 3 } as const },
    { name: 'llama3, with wavelengths kept, between and stretched', ropeScaling: llama3 },
  ])('$name', async ({ ropeScaling }) => {
    await expectLossAndSlopes({ ...long, ropeScaling }, { ...ALL, targets: ['q_proj', 'k_proj'] }, [61]);
  });
});

describe('2048 tokens', () => {
  it('give one loss and gradient, flash or materialised, and the loss of the reference', async () => {
    const config = {
      ...TINY,
      layers: 1,
      hiddenSize: 16,
      intermediateSize: 24,
      heads: 2,
      kvHeads: 1,
      headDim: 8,
      maxPositions: 2049,
    };
    const batch = examples(config, [2049, 300]);
    const lora: LoraConfig = { ...ALL, rank: 2, targets: ['q_proj', 'k_proj', 'v_proj', 'o_proj'] };
    const flash = await measure(config, lora, batch, { attention: 'flash' });
    const materialised = await measure(config, lora, batch, { attention: 'materialised' });
    expect(Math.abs(flash.lossNats / materialised.lossNats - 1)).toBeLessThan(1e-4);
    expect(relativeL2(flash.gradient, materialised.gradient)).toBeLessThan(1e-4);
    expect(Math.abs(flash.lossNats / referenceLoss(flash.reference, flash.adapter, batch) - 1)).toBeLessThan(1e-5);
  });
});
