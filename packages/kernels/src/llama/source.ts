import type { LlamaConfig } from './config.ts';

/** One weight as the loader wants it. int8 linears and embeddings (N, K) with one scale a row; norms f32. */
export type TensorData =
  | {
      readonly dtype: 'int8';
      readonly shape: readonly [number, number];
      readonly q: Int8Array;
      readonly scale: Float32Array;
    }
  | { readonly dtype: 'f32'; readonly shape: readonly number[]; readonly data: Float32Array };

/**
 * Where a model's weights come from: a quantised model directory, or Hugging Face safetensors quantised on the fly.
 * Tensor names are Hugging Face's (`model.layers.0.self_attn.q_proj.weight`, `model.embed_tokens.weight`, `lm_head.weight`…).
 */
export interface ModelSource {
  readonly label: string;
  readonly config: LlamaConfig;
  /** Storage type of the linear weights. */
  readonly dtype: 'int8' | 'f32';
  /** Names of all tensors, in the order that reads the files front to back. */
  readonly tensorNames: readonly string[];
  /** Total bytes of weights, for progress. */
  readonly bytes: number;
  tensor(name: string): Promise<TensorData>;
  /** Text of tokenizer.json. Throws when there is none. */
  tokenizerJson(): Promise<string>;
}
