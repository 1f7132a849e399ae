import { LORA_TARGETS, type LoraConfig, type LoraTarget, targetShape } from '../lora/layout.ts';
import type { LlamaConfig } from './config.ts';
import type { Plan } from './plan-tensors.ts';

/** Arithmetic of training per token of a packed row, 2 FLOPs a multiply-add. */
export interface TokenFlops {
  readonly forward: number;
  readonly backward: number;
  /** Plan B's second forward pass. */
  readonly recompute: number;
  readonly total: number;
}

export interface FlopsRequest {
  readonly seq: number;
  readonly plan: Plan;
  /** Share of the tokens that carry a label and so meet the vocabulary. Default 1. */
  readonly labelShare?: number | undefined;
}

/**
 * Counted: the frozen linears (y = x·Wᵀ and dx = dy·W, never dW), LoRA, causal attention at its mean length seq / 2 and
 * the head. Norms, activations and the optimiser are left out: a percent or two. The lowest layer's q, k and v need no dx.
 */
export function trainingFlops(config: LlamaConfig, lora: LoraConfig, request: FlopsRequest): TokenFlops {
  const { seq, plan, labelShare = 1 } = request;
  const { layers, heads, headDim, hiddenSize, vocabSize } = config;
  const elements = (targets: readonly LoraTarget[]): number =>
    targets.reduce((sum, target) => {
      const { inputs, outputs } = targetShape(config, target);
      return sum + inputs * outputs;
    }, 0);
  const linears = 2 * elements(LORA_TARGETS);
  const adapter = lora.targets.reduce((sum, target) => {
    const { inputs, outputs } = targetShape(config, target);
    return sum + 2 * lora.rank * (inputs + outputs);
  }, 0);
  const attention = 2 * seq * heads * headDim; // q kᵀ and P v, half of the square each
  const head = 2 * labelShare * vocabSize * hiddenSize;
  const forward = layers * (linears + adapter + attention) + head;
  // Attention's backward is five such products (q kᵀ once more, dP, dq, dk, dv), LoRA's four.
  const lowest = 2 * elements(['q_proj', 'k_proj', 'v_proj']);
  const backward = layers * (linears + 2 * adapter + 2.5 * attention) - lowest + head;
  // The last layer is still there, and nothing asks for what is above gate and up.
  const again = linears - 2 * elements(['down_proj']) + adapter + attention;
  const recompute = plan === 'b' ? (layers - 1) * again : 0;
  return { forward, backward, recompute, total: forward + backward + recompute };
}

/** Tokens that a micro-batch of a large model loses to tiles and dispatches not filled, as if they had to be run too. */
const UNUSED_TOKENS = 128;

/** Work of a token in micro-batches of `microBatchTokens`, for comparing plans. */
export function effectiveFlops(flops: TokenFlops, microBatchTokens: number): number {
  return flops.total * (1 + UNUSED_TOKENS / microBatchTokens);
}
