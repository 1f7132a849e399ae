import { adapterLayout, type LlamaConfig } from '@cotune/kernels';
import { expect, it } from 'vitest';
import { estimateMemory } from './memory.ts';

const LLAMA_2_7B: LlamaConfig = {
  vocabSize: 32000,
  hiddenSize: 4096,
  intermediateSize: 11008,
  layers: 32,
  heads: 32,
  kvHeads: 32,
  headDim: 128,
  ropeTheta: 10000,
  ropeScaling: null,
  rmsNormEps: 1e-5,
  tiedEmbeddings: false,
  maxPositions: 4096,
  bosTokenId: 1,
  eosTokenIds: [2],
};
const lora = { rank: 32, alpha: 64, dropout: 0, targets: ['q_proj', 'v_proj'] as const };

it('adds up its terms, and the adapter term is five vectors', () => {
  const plan = { lora, batchSize: 16, maxSeqLength: 512 };
  const estimate = estimateMemory(LLAMA_2_7B, 6.7e9, plan);
  expect(estimate.totalBytes).toBe(estimate.weightBytes + estimate.adapterBytes + estimate.activationBytes);
  // q and v of 32 layers: 2 · 32 · 32 · (4096 + 4096) numbers.
  expect(adapterLayout(LLAMA_2_7B, lora).length).toBe(16_777_216);
  expect(estimate.adapterBytes).toBe(5 * 4 * 16_777_216);
  // The embedding (32000 × 4096, int8) is smaller than a default 128 MiB binding.
  expect(estimate.largestBufferBytes).toBe(32000 * 4096);
});

it('grows with the sequence, and not beyond the model’s positions', () => {
  const at = (maxSeqLength: number) =>
    estimateMemory(LLAMA_2_7B, 0, { lora, batchSize: 4, maxSeqLength }).activationBytes;
  expect(at(512)).toBeGreaterThan(at(256));
  expect(at(100_000)).toBe(at(4096));
});
