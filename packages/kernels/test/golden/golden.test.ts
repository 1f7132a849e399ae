import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parseLlamaConfig } from '../../src/llama/config.ts';
import { generate } from '../../src/llama/generate.ts';
import type { ModelSource, TensorData } from '../../src/llama/source.ts';
import { loadModel } from '../../src/llama/weights.ts';
import { adapterLayout, type LoraConfig } from '../../src/lora/layout.ts';
import { quantizeRows } from '../../src/quantize/quantize-rows.ts';
import type { TokenizedExample } from '../../src/train/batch.ts';
import { createTrainer } from '../../src/train/trainer.ts';
import { relativeL2 } from '../compare.ts';
import { fullLogits } from '../full-logits.ts';
import { testGpu } from '../gpu.ts';

/** Tensors are base64 of little-endian float32, q of int8; see make_golden.py. */
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

const golden = JSON.parse(readFileSync(fileURLToPath(new URL('./tiny.json', import.meta.url)), 'utf8')) as Golden;
const bytes = (text: string): Uint8Array<ArrayBuffer> => Uint8Array.from(Buffer.from(text, 'base64'));
const floats = (text: string): Float32Array<ArrayBuffer> => new Float32Array(bytes(text).buffer);

/**
 * The relative L2 error that every tensor must keep against PyTorch's float64. Largest seen by printing them all in this
 * test: 1.6e-6 on llvmpipe, 2.1e-6 on SwiftShader.
 */
const TOLERANCE = 1e-4;

function source({ name, config }: GoldenCase): ModelSource {
  const dtype = name === 'int8' ? 'int8' : 'f32';
  const names = Object.keys(golden.weights);
  return {
    label: `golden ${name}`,
    config: parseLlamaConfig(config),
    dtype,
    tensorNames: names,
    bytes: names.reduce((sum, key) => sum + (golden.weights[key]?.f32.length ?? 0), 0),
    async tensor(key): Promise<TensorData> {
      const weight = golden.weights[key];
      const quantized = golden.quantized[key];
      if (!weight) throw new Error(`no tensor ${key}`);
      if (dtype === 'f32' || !quantized) return { dtype: 'f32', shape: weight.shape, data: floats(weight.f32) };
      const [rows = 0, cols = 0] = weight.shape;
      return {
        dtype,
        shape: [rows, cols],
        q: new Int8Array(bytes(quantized.q).buffer),
        scale: floats(quantized.scale),
      };
    },
    tokenizerJson: () => Promise.reject(new Error('no tokenizer')),
  };
}

describe.each(golden.cases)('the $name Llama against PyTorch', (expected) => {
  const { lora, batch, training } = expected;
  const setUp = async () => {
    const model = await loadModel(await testGpu(), source(expected));
    return { model, layout: adapterLayout(model.config, lora), vector: floats(expected.adapter) };
  };

  it('gives the logits', async () => {
    const { model, layout, vector } = await setUp();
    for (const [row, { inputIds }] of batch.entries()) {
      const logits = await fullLogits(model, { layout, vector }, Array.from(inputIds));
      expect(relativeL2(logits, floats(expected.logits[row] ?? ''))).toBeLessThan(TOLERANCE);
    }
    model.destroy();
  });

  it('gives the loss and every LoRA gradient by name', async () => {
    const { model, layout, vector } = await setUp();
    const trainer = await createTrainer(model, lora);
    trainer.setAdapter(vector);
    expect(layout.tensors.map(({ name }) => name)).toEqual(Object.keys(expected.gradients));
    const evaluated = await trainer.evaluate(batch);
    expect(evaluated.labelTokens).toBe(expected.labelTokens);
    expect(Math.abs(evaluated.lossNats / expected.lossNats - 1)).toBeLessThan(TOLERANCE);
    const gradients = await trainer.gradients(batch);
    for (const { name, offset, shape } of layout.tensors) {
      const gradient = gradients.subarray(offset, offset + shape[0] * shape[1]);
      expect(relativeL2(gradient, floats(expected.gradients[name] ?? '')), name).toBeLessThan(TOLERANCE);
    }
    trainer.destroy();
    model.destroy();
  });

  it.each([{ maxBatchRows: 16 }, { maxBatchRows: 1 }])(
    'takes the five AdamW steps with $maxBatchRows rows at a time',
    async (options) => {
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
      const target = floats(training.adapter).map((w, i) => w - (start[i] ?? 0));
      expect(relativeL2(moved, target)).toBeLessThan(TOLERANCE);
      trainer.destroy();
      model.destroy();
    },
  );

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
    const own = quantizeRows(floats(weight?.f32 ?? ''), rows, cols);
    expect(Buffer.from(own.q.buffer).equals(bytes(q)), name).toBe(true);
    expect([...own.scale], name).toEqual([...floats(scale)]);
  }
});
