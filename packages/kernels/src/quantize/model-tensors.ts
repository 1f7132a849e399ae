import type { LlamaConfig } from '../llama/config.ts';
import { LORA_TARGETS, type LoraTarget, targetShape } from '../lora/layout.ts';

const MLP: ReadonlySet<LoraTarget> = new Set(['gate_proj', 'up_proj', 'down_proj']);

/** A weight that a Llama of a given config has. Matrices are stored in the model's dtype, norms always in f32. */
export interface ModelTensor {
  readonly name: string;
  readonly kind: 'matrix' | 'norm';
  /** (N, K) for a matrix, (dim) for a norm. */
  readonly shape: readonly [number, number] | readonly [number];
}

/** Every weight of the model under Hugging Face's names. A tied head is the embedding and is not listed again. */
export function modelTensors(config: LlamaConfig): ModelTensor[] {
  const { vocabSize, hiddenSize, layers, tiedEmbeddings } = config;
  const norm = (name: string): ModelTensor => ({ name, kind: 'norm', shape: [hiddenSize] });
  const matrix = (name: string, rows: number, cols: number): ModelTensor => ({
    name,
    kind: 'matrix',
    shape: [rows, cols],
  });
  const tensors = [matrix('model.embed_tokens.weight', vocabSize, hiddenSize)];
  for (let layer = 0; layer < layers; layer++) {
    const prefix = `model.layers.${layer}`;
    tensors.push(norm(`${prefix}.input_layernorm.weight`), norm(`${prefix}.post_attention_layernorm.weight`));
    for (const target of LORA_TARGETS) {
      const { inputs, outputs } = targetShape(config, target);
      const block = MLP.has(target) ? 'mlp' : 'self_attn';
      tensors.push(matrix(`${prefix}.${block}.${target}.weight`, outputs, inputs));
    }
  }
  tensors.push(norm('model.norm.weight'));
  if (!tiedEmbeddings) tensors.push(matrix('lm_head.weight', vocabSize, hiddenSize));
  return tensors;
}

/** Bytes of a tensor as the engine stores it: int8 with an f32 scale a row, or f32. */
export function storedBytes({ kind, shape }: ModelTensor, dtype: 'int8' | 'f32'): number {
  const elements = shape[0] * (shape[1] ?? 1);
  return kind === 'matrix' && dtype === 'int8' ? elements + 4 * shape[0] : 4 * elements;
}
