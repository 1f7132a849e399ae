import type { LlamaConfig } from '../llama/config.ts';

/** The seven linears of a Llama layer, in the order of the forward pass. */
export const LORA_TARGETS = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'] as const;
export type LoraTarget = (typeof LORA_TARGETS)[number];

export interface LoraConfig {
  readonly rank: number;
  /** The adapter's output is multiplied by alpha / rank. */
  readonly alpha: number;
  /** Probability of zeroing an element of the adapter's input while training. */
  readonly dropout: number;
  readonly targets: readonly LoraTarget[];
}

/** One LoRA matrix inside the flat adapter vector. */
export interface AdapterTensor {
  /** PEFT's name, e.g. `base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight`. */
  readonly name: string;
  readonly layer: number;
  readonly target: LoraTarget;
  readonly matrix: 'A' | 'B';
  /** A: (rank, inputs); B: (outputs, rank). Row-major. */
  readonly shape: readonly [number, number];
  /** First element in the flat vector. */
  readonly offset: number;
}

/** Names, shapes and places of every LoRA tensor in one flat Float32Array: the currency of federation. */
export interface AdapterLayout {
  readonly config: LoraConfig;
  readonly tensors: readonly AdapterTensor[];
  /** Elements of the flat vector. */
  readonly length: number;
}

/** Inputs and outputs of a target linear. */
export function targetShape(config: LlamaConfig, target: LoraTarget): { inputs: number; outputs: number } {
  const { hiddenSize, intermediateSize, heads, kvHeads, headDim } = config;
  switch (target) {
    case 'q_proj':
      return { inputs: hiddenSize, outputs: heads * headDim };
    case 'k_proj':
    case 'v_proj':
      return { inputs: hiddenSize, outputs: kvHeads * headDim };
    case 'o_proj':
      return { inputs: heads * headDim, outputs: hiddenSize };
    case 'gate_proj':
    case 'up_proj':
      return { inputs: hiddenSize, outputs: intermediateSize };
    case 'down_proj':
      return { inputs: intermediateSize, outputs: hiddenSize };
    default:
      return target satisfies never;
  }
}

/**
 * The layout of an adapter: layer by layer, target by target in LORA_TARGETS' order, A before B. Throws RangeError for a
 * configuration that cannot be trained.
 */
export function adapterLayout(model: LlamaConfig, lora: LoraConfig): AdapterLayout {
  checkConfig(lora);
  const tensors: AdapterTensor[] = [];
  let offset = 0;
  for (let layer = 0; layer < model.layers; layer++) {
    for (const target of LORA_TARGETS.filter((t) => lora.targets.includes(t))) {
      const { inputs, outputs } = targetShape(model, target);
      const block =
        target === 'q_proj' || target === 'k_proj' || target === 'v_proj' || target === 'o_proj' ? 'self_attn' : 'mlp';
      for (const matrix of ['A', 'B'] as const) {
        const shape = matrix === 'A' ? ([lora.rank, inputs] as const) : ([outputs, lora.rank] as const);
        const name = `base_model.model.model.layers.${layer}.${block}.${target}.lora_${matrix}.weight`;
        tensors.push({ name, layer, target, matrix, shape, offset });
        offset += shape[0] * shape[1];
      }
    }
  }
  return { config: lora, tensors, length: offset };
}

function checkConfig({ rank, alpha, dropout, targets }: LoraConfig): void {
  if (!Number.isInteger(rank) || rank < 1) throw new RangeError(`LoRA rank ${rank}: expected a whole number ≥ 1`);
  if (!Number.isFinite(alpha)) throw new RangeError(`LoRA alpha ${alpha}: expected a number`);
  if (!(dropout >= 0 && dropout < 1)) throw new RangeError(`LoRA dropout ${dropout}: expected 0 ≤ dropout < 1`);
  if (!LORA_TARGETS.some((target) => targets.includes(target)))
    throw new RangeError(`LoRA targets ${targets.join() || 'none'}: expected some of ${LORA_TARGETS.join(', ')}`);
}
