import type { LlamaConfig } from '../llama/config.ts';
import { type LoraConfig, targetShape } from '../lora/layout.ts';

/** Tokens of one step. */
export interface StepTokens {
  /** Tokens that go through the model, padding left out. */
  readonly tokens: number;
  /** Of these, the ones whose prediction counts. */
  readonly labelTokens: number;
  /** Tokens of one example: what attention sees. */
  readonly length: number;
}

export interface StepFlops {
  readonly linears: number;
  readonly attention: number;
  readonly head: number;
  readonly lora: number;
  readonly total: number;
}

/**
 * Multiplications and additions that one LoRA step needs, and no more: forward, and the gradient of every input that has an
 * adapter below it; dW of frozen weights never. The last layer's o, gate, up and down and the head run for label tokens
 * alone, causal attention counts the scores that exist, and what plan B computes again is not counted.
 */
export function stepFlops(
  config: LlamaConfig,
  lora: LoraConfig,
  { tokens, labelTokens, length }: StepTokens,
): StepFlops {
  const size = (target: Parameters<typeof targetShape>[1]): number => {
    const { inputs, outputs } = targetShape(config, target);
    return inputs * outputs;
  };
  const lower = size('q_proj') + size('k_proj') + size('v_proj');
  const upper = size('o_proj') + size('gate_proj') + size('up_proj') + size('down_proj');
  const { layers, heads, headDim, hiddenSize, vocabSize } = config;
  const upperTokens = (layers - 1) * tokens + labelTokens;
  // Below the lowest layer's q, k and v there is nothing to learn.
  const forward = 2 * (layers * tokens * lower + upperTokens * upper);
  const backward = 2 * ((layers - 1) * tokens * lower + upperTokens * upper);
  const attention = layers * 3 * 2 * tokens * length * heads * headDim; // two products forward, four backward, half of each
  const head = 2 * 2 * labelTokens * hiddenSize * vocabSize;
  const perToken = lora.targets.reduce((sum, target) => {
    const { inputs, outputs } = targetShape(config, target);
    return sum + 3 * 2 * lora.rank * (inputs + outputs);
  }, 0);
  const linears = forward + backward;
  const adapters = layers * tokens * perToken;
  return { linears, attention, head, lora: adapters, total: linears + attention + head + adapters };
}
