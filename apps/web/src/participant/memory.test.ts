import { adapterLayout, MODEL_PRESETS } from '@cotune/kernels';
import { expect, it } from 'vitest';
import { estimateMemory } from './memory.ts';

const LLAMA_2_7B = MODEL_PRESETS['llama-2-7b'];
const lora = { rank: 32, alpha: 64, dropout: 0, targets: ['q_proj', 'v_proj'] as const };

it('adds up its terms, and the adapter term is four vectors', () => {
  const estimate = estimateMemory(LLAMA_2_7B, 'int8', { lora, batchSize: 16, maxSeqLength: 512 });
  expect(estimate.totalBytes).toBe(estimate.weightBytes + estimate.adapterBytes + estimate.activationBytes);
  // q and v of 32 layers: 2 · 32 · 32 · (4096 + 4096) numbers.
  expect(adapterLayout(LLAMA_2_7B, lora).length).toBe(16_777_216);
  expect(estimate.adapterBytes / (4 * 4 * 16_777_216)).toBeCloseTo(1, 3);
  // A byte a weight, and what the layers keep of 2048 tokens in f32: xIn, q, k, v, attention, xMid, gate and up.
  expect(estimate.weightBytes / 6.738e9).toBeCloseTo(1, 2);
  expect(estimate.activationBytes).toBeGreaterThan(4 * 32 * 2048 * (6 * 4096 + 2 * 11008));
  // The embedding (32000 × 4096, int8) is smaller than a default 128 MiB binding.
  expect(estimate.largestBufferBytes).toBe(32000 * 4096);
  expect(estimateMemory(LLAMA_2_7B, 'f32', { lora, batchSize: 1, maxSeqLength: 8 }).largestBufferBytes).toBe(
    4 * 32000 * 4096,
  );
});

it('grows with the batch up to one micro-batch, and not beyond the model’s positions', () => {
  const at = (batchSize: number, maxSeqLength: number) =>
    estimateMemory(LLAMA_2_7B, 'int8', { lora, batchSize, maxSeqLength }).activationBytes;
  expect(at(2, 512)).toBeGreaterThan(at(1, 512));
  expect(at(16, 512)).toBe(at(4, 512));
  // A pair is two sequences.
  const pairs = (batchSize: number) =>
    estimateMemory(LLAMA_2_7B, 'int8', { lora, batchSize, maxSeqLength: 512, task: 'dpo' });
  expect(pairs(1).activationBytes).toBe(at(2, 512));
  expect(pairs(16).activationBytes).toBe(at(4, 512));
  expect(at(4, 100_000)).toBe(at(4, 4096));
});
