import { describe, expect, it } from 'vitest';
import { generate } from '../../src/llama/generate.ts';
import { loadModel } from '../../src/llama/weights.ts';
import { adapterLayout, type LoraConfig } from '../../src/lora/layout.ts';
import { quantizeRows } from '../../src/quantize/quantize-rows.ts';
import type { TokenizedExample } from '../../src/train/batch.ts';
import { createTrainer, type TrainerOptions } from '../../src/train/trainer.ts';
import { relativeL2 } from '../compare.ts';
import { fullLogits } from '../full-logits.ts';
import { testGpu } from '../gpu.ts';
import { bytesOf, floatsOf, goldenFile, goldenSource } from './golden-model.ts';

interface Golden {
  readonly weights: Record<string, { shape: number[]; f32: string }>;
  readonly quantized: Record<string, { q: string; scale: string }>;
  readonly cases: readonly GoldenCase[];
}
interface GoldenCase {
  readonly name: 'untied' | 'tied' | 'int8';
  readonly config: unknown;
  readonly lora: LoraConfig;
  readonly adapter: string;
  readonly batch: readonly TokenizedExample[];
  readonly logits: readonly string[];
  readonly lossNats: number;
  readonly labelTokens: number;
  readonly gradients: Record<string, string>;
  readonly generation: { promptIds: number[]; tokenIds: number[] };
  readonly training: {
    readonly clipNorm: number;
    readonly weightDecay: number;
    readonly steps: readonly { learningRate: number; lossNats: number; gradNorm: number; adapterNorm: number }[];
    readonly adapter: string;
  };
}

const golden = goldenFile('tiny.json') as Golden;

/**
 * The relative L2 error that every tensor must keep against PyTorch's float64. Largest seen by printing them all in this
 * test: 1.6e-6 on llvmpipe, 2.1e-6 on SwiftShader.
 */
const TOLERANCE = 1e-4;

/** Ways to compute the same step. */
const WAYS: readonly (TrainerOptions & { readonly way: string })[] = [
  { way: 'unpacked, plan A', packing: false, plan: 'a' },
  { way: 'packed, plan A', plan: 'a' },
  { way: 'packed, plan B', plan: 'b' },
  { way: 'a packed row at a time, plan A', plan: 'a', maxBatchRows: 1 },
  { way: 'a row at a time, unpacked, plan B', packing: false, plan: 'b', maxBatchRows: 1 },
];

describe.each(golden.cases)('the $name Llama against PyTorch', (expected) => {
  const { lora, batch, training } = expected;
  const setUp = async () => {
    const model = await loadModel(await testGpu(), goldenSource(expected.name, expected.config));
    return { model, layout: adapterLayout(model.config, lora), vector: floatsOf(expected.adapter) };
  };

  it('gives the logits', async () => {
    const { model, layout, vector } = await setUp();
    for (const [row, { inputIds }] of batch.entries()) {
      const logits = await fullLogits(model, { layout, vector }, Array.from(inputIds));
      expect(relativeL2(logits, floatsOf(expected.logits[row] ?? ''))).toBeLessThan(TOLERANCE);
    }
    model.destroy();
  });

  it.each(WAYS)('gives the loss and every LoRA gradient by name ($way)', async (options) => {
    const { model, layout, vector } = await setUp();
    const trainer = await createTrainer(model, lora, options);
    trainer.setAdapter(vector);
    expect(layout.tensors.map(({ name }) => name)).toEqual(Object.keys(expected.gradients));
    const evaluated = await trainer.evaluate(batch);
    expect(evaluated.labelTokens).toBe(expected.labelTokens);
    expect(Math.abs(evaluated.lossNats / expected.lossNats - 1)).toBeLessThan(TOLERANCE);
    const gradients = await trainer.gradients(batch);
    for (const { name, offset, shape } of layout.tensors) {
      const gradient = gradients.subarray(offset, offset + shape[0] * shape[1]);
      expect(relativeL2(gradient, floatsOf(expected.gradients[name] ?? '')), name).toBeLessThan(TOLERANCE);
    }
    trainer.destroy();
    model.destroy();
  });

  it.each(WAYS)('takes the five AdamW steps ($way)', async (options) => {
    const { model, vector } = await setUp();
    const trainer = await createTrainer(model, lora, options);
    trainer.setAdapter(vector);
    const { clipNorm, weightDecay } = training;
    for (const { learningRate, lossNats, gradNorm, adapterNorm } of training.steps) {
      const step = await trainer.step(batch, { learningRate, clipNorm, weightDecay });
      expect(Math.abs(step.lossNats / lossNats - 1)).toBeLessThan(TOLERANCE);
      expect(Math.abs(step.gradNorm / gradNorm - 1)).toBeLessThan(TOLERANCE);
      expect(Math.abs(Math.hypot(...(await trainer.adapter())) / adapterNorm - 1)).toBeLessThan(TOLERANCE);
    }
    const start = vector;
    const moved = (await trainer.adapter()).map((w, i) => w - (start[i] ?? 0));
    const target = floatsOf(training.adapter).map((w, i) => w - (start[i] ?? 0));
    expect(relativeL2(moved, target)).toBeLessThan(TOLERANCE);
    trainer.destroy();
    model.destroy();
  });

  it('generates the greedy continuation with its cache', async () => {
    const { model, layout, vector } = await setUp();
    const { promptIds, tokenIds } = expected.generation;
    const options = { promptIds, maxTokens: tokenIds.length, adapter: { layout, vector }, stopIds: [] };
    expect((await generate(model, options)).tokenIds).toEqual(tokenIds);
    model.destroy();
  });
});

it('quantises the weights to the bytes that PyTorch gets', () => {
  for (const [name, { q, scale }] of Object.entries(golden.quantized)) {
    const weight = golden.weights[name];
    const [rows = 0, cols = 0] = weight?.shape ?? [];
    const own = quantizeRows(floatsOf(weight?.f32 ?? ''), rows, cols);
    expect(Buffer.from(own.q.buffer).equals(bytesOf(q)), name).toBe(true);
    expect([...own.scale], name).toEqual([...floatsOf(scale)]);
  }
});
