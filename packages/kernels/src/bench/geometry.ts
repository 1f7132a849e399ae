import type { AdapterKind } from '../gpu/device.ts';
import type { LlamaConfig } from '../llama/config.ts';
import { MODEL_PRESETS } from '../llama/plan-presets.ts';

/** Shape of a Llama and of the batch that a kernel benchmark runs. */
export interface Geometry {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly vocabSize: number;
  readonly batch: number;
  readonly seq: number;
  readonly rank: number;
}

/** Llama-2-7B (Touvron et al. 2023) at a micro-batch of 2048 tokens and the paper's LoRA rank. */
export const LLAMA_2_7B: Geometry = {
  hiddenSize: 4096,
  intermediateSize: 11008,
  heads: 32,
  kvHeads: 32,
  headDim: 128,
  vocabSize: 32000,
  batch: 4,
  seq: 512,
  rank: 32,
};

/** How much smaller a software adapter's shapes are; a kernel at full size would take it half a minute. */
export interface ScaleDown {
  /** Divides the hidden and the intermediate size, the heads and the vocabulary. */
  readonly width: number;
  /** Divides the rows of the batch and their length. */
  readonly batch: number;
  readonly seq: number;
}

const SCALES: Record<AdapterKind, ScaleDown> = {
  hardware: { width: 1, batch: 1, seq: 1 },
  llvmpipe: { width: 4, batch: 2, seq: 4 },
  swiftshader: { width: 4, batch: 2, seq: 4 },
};

export function scaleFor(kind: AdapterKind): ScaleDown {
  return SCALES[kind];
}

export function scaled(geometry: Geometry, { width, batch, seq }: ScaleDown): Geometry {
  return {
    ...geometry,
    hiddenSize: geometry.hiddenSize / width,
    intermediateSize: geometry.intermediateSize / width,
    heads: geometry.heads / width,
    kvHeads: geometry.kvHeads / width,
    vocabSize: geometry.vocabSize / width,
    batch: geometry.batch / batch,
    seq: geometry.seq / seq,
  };
}

const SMALL = {
  vocabSize: 2000,
  hiddenSize: 256,
  intermediateSize: 688,
  layers: 4,
  heads: 4,
  kvHeads: 4,
  headDim: 64,
  ropeTheta: 10000,
  ropeScaling: null,
  rmsNormEps: 1e-5,
  tiedEmbeddings: false,
  maxPositions: 4096,
  bosTokenId: 1,
  eosTokenIds: [2],
} as const satisfies LlamaConfig;

/** Models that `bench step` can make out of noise. */
export const MODEL_GEOMETRIES = {
  ...MODEL_PRESETS,
  /** A sixteenth of Llama-2-7B's width and an eighth of its depth: seconds a step on two cores. */
  small: SMALL,
  /** For thousands of steps. */
  tiny: { ...SMALL, vocabSize: 512, hiddenSize: 64, intermediateSize: 172, layers: 2, headDim: 16 },
} as const satisfies Record<string, LlamaConfig>;
export type GeometryName = keyof typeof MODEL_GEOMETRIES;
export const GEOMETRY_NAMES = Object.keys(MODEL_GEOMETRIES) as GeometryName[];

/** The configuration of such a model, with another number of layers where asked for. */
export function geometryConfig(name: GeometryName, layers?: number): LlamaConfig {
  const config: LlamaConfig = MODEL_GEOMETRIES[name];
  return layers === undefined ? config : { ...config, layers };
}
