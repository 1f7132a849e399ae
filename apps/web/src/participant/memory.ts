import { adapterLayout, type LlamaConfig, type LoraConfig } from '@cotune/kernels';

/** Estimated GPU memory by term, bytes. */
export interface MemoryEstimate {
  readonly weightBytes: number;
  /** Adapter, gradient, both AdamW moments, the round's starting point. */
  readonly adapterBytes: number;
  readonly activationBytes: number;
  readonly totalBytes: number;
  /** The largest single buffer that must be bound. */
  readonly largestBufferBytes: number;
}

const F32_BYTES = 4;
/** Rows (tokens) that one micro-batch is taken to hold; longer batches are split. */
const MICRO_BATCH_ROWS = 2048;

/**
 * Estimate for LoRA training with every layer's activations kept in f32: per token and layer 6 hidden-sized vectors, q, k, v,
 * the attention output, three of the feed-forward width, and the attention probabilities (heads × sequence) with their gradient.
 */
export function estimateMemory(
  model: LlamaConfig,
  modelBytes: number,
  plan: { readonly lora: LoraConfig; readonly batchSize: number; readonly maxSeqLength: number },
): MemoryEstimate {
  const layout = adapterLayout(model, plan.lora);
  const seq = Math.min(plan.maxSeqLength, model.maxPositions);
  const rows = Math.max(seq, Math.min(plan.batchSize * seq, MICRO_BATCH_ROWS));
  const attention = model.headDim * (2 * model.heads + 2 * model.kvHeads);
  const perToken = 6 * model.hiddenSize + attention + 3 * model.intermediateSize + model.heads * seq;
  const shared = rows * (model.heads * seq + 3 * model.intermediateSize + 4 * model.hiddenSize);
  const activationBytes = F32_BYTES * (rows * perToken * model.layers + shared + Math.min(rows, 512) * model.vocabSize);
  const adapterBytes = 5 * F32_BYTES * layout.length;
  const largestBufferBytes = Math.max(model.vocabSize * model.hiddenSize, model.intermediateSize * model.hiddenSize);
  return {
    weightBytes: modelBytes,
    adapterBytes,
    activationBytes,
    totalBytes: modelBytes + adapterBytes + activationBytes,
    largestBufferBytes,
  };
}
