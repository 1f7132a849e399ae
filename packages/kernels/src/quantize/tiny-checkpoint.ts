import type { LlamaConfig } from '../llama/config.ts';
import { parseLlamaConfig } from '../llama/config.ts';
import { modelTensors } from './model-tensors.ts';
import { encodeSafetensors, type TensorToWrite } from './safetensors-encode.ts';

/** config.json of a Llama small enough for tests: grouped heads, odd vocabulary, no two dimensions alike. */
export const TINY_CONFIG = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: 23,
  hidden_size: 16,
  intermediate_size: 28,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: true,
  max_position_embeddings: 64,
  bos_token_id: 1,
  eos_token_id: 2,
};

export interface TinyCheckpoint {
  readonly config: LlamaConfig;
  readonly tensors: readonly TensorToWrite[];
  /** The files of the Hugging Face directory. */
  readonly files: Record<string, Uint8Array | string>;
}

/** A Hugging Face directory for tests, its weights a fixed function of tensor and element. */
export function tinyCheckpoint(overrides: Record<string, unknown> = {}): TinyCheckpoint {
  const json = { ...TINY_CONFIG, ...overrides };
  const config = parseLlamaConfig(json);
  const tensors = modelTensors(config).map(({ name, shape }, index) => {
    const length = shape[0] * (shape[1] ?? 1);
    return { name, shape, data: Float32Array.from({ length }, (_, i) => Math.sin(1 + 7 * index + 0.37 * i) * 0.1) };
  });
  const vocab = Object.fromEntries(Array.from({ length: config.vocabSize }, (_, id) => [`t${id}`, id]));
  const files = {
    'config.json': JSON.stringify(json),
    'model.safetensors': encodeSafetensors(tensors),
    'tokenizer.json': JSON.stringify({ version: '1.0', added_tokens: [], model: { type: 'BPE', vocab, merges: [] } }),
  };
  return { config, tensors, files };
}
