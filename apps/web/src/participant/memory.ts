import { type AlgorithmSettings, localTerms } from '@cotune/fl-core';
import { type LlamaConfig, type LoraConfig, leastRows, planMemory, type Task } from '@cotune/kernels';

/** Estimated GPU memory by term, bytes. */
export interface MemoryEstimate {
  readonly weightBytes: number;
  /** Adapter, gradient, both AdamW moments, and what the algorithm adds to the steps. */
  readonly adapterBytes: number;
  /** What the layers compute, what DPO knows of its pairs, and the buffer through which checkpoints are read. */
  readonly activationBytes: number;
  readonly totalBytes: number;
  /** The largest weight matrix, which is bound as a whole; activations and adapter are cut where they must be. */
  readonly largestBufferBytes: number;
}

/** Tokens that one micro-batch is taken to hold, as the engine's trainer does; longer batches are split. */
const MICRO_BATCH_TOKENS = 2048;

/**
 * What the engine's planner counts for LoRA training in f32 that keeps every layer's activations, every token labelled, with
 * the attention that hardware uses for all but short rows, and the vectors that the run's algorithm needs.
 */
export function estimateMemory(
  model: LlamaConfig,
  dtype: 'int8' | 'f32',
  run: {
    readonly lora: LoraConfig;
    readonly batchSize: number;
    readonly maxSeqLength: number;
    readonly task: Task;
    readonly algorithm: AlgorithmSettings;
  },
): MemoryEstimate {
  const { task, lora } = run;
  const seq = Math.min(run.maxSeqLength, model.maxPositions);
  const together = leastRows(task);
  const batch = Math.max(together, Math.min(together * run.batchSize, Math.floor(MICRO_BATCH_TOKENS / seq)));
  const settings = { dtype, precision: 'f32', plan: 'a', attention: 'flash', batch, seq, task } as const;
  const planned = planMemory(model, lora, { ...settings, ...localTerms(run.algorithm) });
  return {
    weightBytes: planned.weights,
    adapterBytes: planned.optimizer,
    activationBytes: planned.saves + planned.scratch + planned.readBack,
    totalBytes: planned.total,
    largestBufferBytes:
      Math.max(model.vocabSize, model.intermediateSize) * model.hiddenSize * (dtype === 'int8' ? 1 : 4),
  };
}
