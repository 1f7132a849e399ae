import type { AdapterKind } from '../gpu/device.ts';
import { type LlamaConfig, parseLlamaConfig } from '../llama/config.ts';

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

/** Models that `bench step` can make out of noise. */
export const MODEL_GEOMETRIES = {
  'llama-2-7b': { hidden: 4096, ff: 11008, layers: 32, heads: 32, kvHeads: 32, vocab: 32000 },
  /** A sixteenth of the width and an eighth of the depth: seconds a step on two cores. */
  small: { hidden: 256, ff: 688, layers: 4, heads: 4, kvHeads: 4, vocab: 2000 },
  /** For thousands of steps. */
  tiny: { hidden: 64, ff: 172, layers: 2, heads: 4, kvHeads: 4, vocab: 512 },
} as const;
export type GeometryName = keyof typeof MODEL_GEOMETRIES;
export const GEOMETRY_NAMES = Object.keys(MODEL_GEOMETRIES) as GeometryName[];

/** The configuration of such a model, with fewer layers where asked for. */
export function geometryConfig(name: GeometryName, layers?: number): LlamaConfig {
  const shape = MODEL_GEOMETRIES[name];
  return parseLlamaConfig({
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_size: shape.hidden,
    intermediate_size: shape.ff,
    num_hidden_layers: layers ?? shape.layers,
    num_attention_heads: shape.heads,
    num_key_value_heads: shape.kvHeads,
    vocab_size: shape.vocab,
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    hidden_act: 'silu',
    tie_word_embeddings: false,
    bos_token_id: 1,
    eos_token_id: 2,
  });
}
