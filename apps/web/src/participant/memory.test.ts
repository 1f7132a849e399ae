import { algorithmSettings } from '@cotune/fl-core';
import { adapterLayout, MODEL_PRESETS } from '@cotune/kernels';
import { expect, it } from 'vitest';
import { estimateMemory } from './memory.ts';

const LLAMA_2_7B = MODEL_PRESETS['llama-2-7b'];
const lora = { rank: 32, alpha: 64, dropout: 0, targets: ['q_proj', 'v_proj'] as const };
const run = {
  lora,
  batchSize: 16,
  maxSeqLength: 512,
  task: 'sft',
  algorithm: algorithmSettings.parse({ id: 'fedavg' }),
} as const;

it('adds up its terms, and the adapter term is four vectors', () => {
  const estimate = estimateMemory(LLAMA_2_7B, 'int8', run);
  expect(estimate.totalBytes).toBe(estimate.weightBytes + estimate.adapterBytes + estimate.activationBytes);
  // q and v of 32 layers: 2 · 32 · 32 · (4096 + 4096) numbers.
  expect(adapterLayout(LLAMA_2_7B, lora).length).toBe(16_777_216);
  expect(estimate.adapterBytes / (4 * 4 * 16_777_216)).toBeCloseTo(1, 3);
  // A byte a weight, and what the layers keep of 2048 tokens in f32: xIn, q, k, v, attention, xMid, gate and up.
  expect(estimate.weightBytes / 6.738e9).toBeCloseTo(1, 2);
  expect(estimate.activationBytes).toBeGreaterThan(4 * 32 * 2048 * (6 * 4096 + 2 * 11008));
  // The embedding (32000 × 4096, int8) is smaller than a default 128 MiB binding.
  expect(estimate.largestBufferBytes).toBe(32000 * 4096);
  const short = { ...run, batchSize: 1, maxSeqLength: 8 };
  expect(estimateMemory(LLAMA_2_7B, 'f32', short).largestBufferBytes).toBe(4 * 32000 * 4096);
});

it('grows with the batch up to one micro-batch, and not beyond the model’s positions', () => {
  const at = (batchSize: number, maxSeqLength: number) =>
    estimateMemory(LLAMA_2_7B, 'int8', { ...run, batchSize, maxSeqLength }).activationBytes;
  expect(at(2, 512)).toBeGreaterThan(at(1, 512));
  expect(at(16, 512)).toBe(at(4, 512));
  expect(at(4, 100_000)).toBe(at(4, 4096));
  // A pair is two sequences; of each label row it holds two log-probabilities, a weight, and half an outcome and its weight.
  const pairs = (batchSize: number) =>
    estimateMemory(LLAMA_2_7B, 'int8', { ...run, batchSize, task: 'dpo' }).activationBytes;
  expect(pairs(1) - at(2, 512)).toBe(2 * 512 * 4 * (2 + 1 + (4 + 1) / 2));
  expect(pairs(16)).toBe(pairs(2));
});

it.each([
  ['fedprox', 1],
  ['scaffold', 1],
  ['fedadam', 0],
] as const)('counts what %s adds to the steps: %i vectors', (id, vectors) => {
  const plain = estimateMemory(LLAMA_2_7B, 'int8', run);
  const estimate = estimateMemory(LLAMA_2_7B, 'int8', { ...run, algorithm: algorithmSettings.parse({ id }) });
  expect(estimate.totalBytes - plain.totalBytes).toBe(vectors * 4 * 16_777_216);
  expect(estimate.adapterBytes - plain.adapterBytes).toBe(vectors * 4 * 16_777_216);
});
