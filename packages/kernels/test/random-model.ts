import type { LlamaConfig } from '../src/llama/config.ts';

export { arraySource, randomSource } from '../src/llama/random-source.ts';

/** Two layers with grouped-query attention and sizes that are no powers of two. */
export const TINY: LlamaConfig = {
  vocabSize: 40,
  hiddenSize: 24,
  intermediateSize: 44,
  layers: 2,
  heads: 6,
  kvHeads: 2,
  headDim: 4,
  ropeTheta: 10000,
  ropeScaling: null,
  rmsNormEps: 1e-5,
  tiedEmbeddings: false,
  maxPositions: 96,
  bosTokenId: 1,
  eosTokenIds: [2],
};
