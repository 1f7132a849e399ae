import { type LlamaConfig, type LoraConfig, planMemory } from '@cotune/kernels';

/** Estimated GPU memory by term, bytes. */
export interface MemoryEstimate {
  readonly weightBytes: number;
  /** Adapter, gradient, both AdamW moments. */
  readonly adapterBytes: number;
  readonly activationBytes: number;
  readonly totalBytes: number;
  /** The largest weight matrix, which is bound as a whole; activations are made smaller where they must. */
  readonly largestBufferBytes: number;
}

/** Tokens that one micro-batch is taken to hold, as the engine's trainer does; longer batches are split. */
const MICRO_BATCH_TOKENS = 2048;

/**
 * What the engine's planner counts for LoRA training in f32 that keeps every layer's activations, every token labelled, with
 * the attention that hardware uses for all but short rows.
 */
export function estimateMemory(
  model: LlamaConfig,
  dtype: 'int8' | 'f32',
  run: {
    readonly lora: LoraConfig;
    readonly batchSize: number;
    readonly maxSeqLength: number;
    readonly task?: 'sft' | 'dpo';
  },
): MemoryEstimate {
  const seq = Math.min(run.maxSeqLength, model.maxPositions);
  // Both sequences of a preference pair are in one micro-batch.
  const together = run.task === 'dpo' ? 2 : 1;
  const batch = Math.max(together, Math.min(together * run.batchSize, Math.floor(MICRO_BATCH_TOKENS / seq)));
  const settings = { dtype, precision: 'f32', plan: 'a', attention: 'flash', batch, seq } as const;
  const { weights, optimizer, saves, scratch, total } = planMemory(model, run.lora, settings);
  return {
    weightBytes: weights,
    adapterBytes: optimizer,
    activationBytes: saves + scratch,
    totalBytes: total,
    largestBufferBytes:
      Math.max(model.vocabSize, model.intermediateSize) * model.hiddenSize * (dtype === 'int8' ? 1 : 4),
  };
}
