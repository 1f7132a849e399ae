import type { AttentionKind, BatchShape } from '../llama/plan-capacity.ts';
import type { Plan } from '../llama/plan-tensors.ts';
import type { Model } from '../llama/weights.ts';
import type { AdapterLayout } from '../lora/layout.ts';
import type { Precision } from '../ops/precision.ts';
import type { PackOptions } from './pack.ts';

/** How a trainer computes, beside what it learns. */
export interface ComputeOptions {
  /** Most rows in one micro-batch, below what the adapter allows; larger batches are split and accumulated. */
  readonly maxBatchRows?: number;
  /** Largest chunk of logits in bytes; see ActivationOptions. */
  readonly logitChunkBytes?: number;
  /** Several short examples share a row, with block-diagonal attention. Default true. */
  readonly packing?: boolean;
  /** Arithmetic of the frozen linears and storage of the saves. Default 'f32'. */
  readonly precision?: Precision;
  /** 'a' keeps every layer's saves, 'b' keeps only each layer's input and recomputes; 'auto' (default): the fastest that fits. */
  readonly plan?: Plan | 'auto';
  /** GPU memory for weights, adapter, optimiser and activations together. Default: no limit but the adapter's. */
  readonly budgetBytes?: number;
  /** Default 'auto': where it is faster or the materialised one does not fit. */
  readonly attention?: AttentionKind | 'auto';
}

/** ComputeOptions decided for a model on its adapter, once: the same shape is always computed in the same way. */
export interface ComputeSettings extends PackOptions {
  readonly precision: Precision;
  readonly plan: Plan;
  readonly attentionFor: (shape: Pick<BatchShape, 'batch' | 'seq'>) => AttentionKind;
  readonly logitChunkBytes: number | undefined;
}

export function computeSettings(model: Model, _layout: AdapterLayout, options: ComputeOptions): ComputeSettings {
  const { maxBatchRows = Number.POSITIVE_INFINITY } = options;
  return {
    precision: options.precision ?? 'f32',
    plan: options.plan === 'b' ? 'b' : 'a',
    attentionFor: () => 'materialised',
    logitChunkBytes: options.logitChunkBytes,
    packing: options.packing ?? true,
    maxRows: (seq) => Math.min(maxMicroBatchRows(model, seq), maxBatchRows),
    attentionScale: 6 * model.config.hiddenSize, // 4·seq·hidden FLOPs a token beside the 24·hidden² of a layer's linears
  };
}

/** Tokens of one micro-batch: enough to fill the adapter, little enough for its memory and its watchdog. */
const MICRO_BATCH_TOKENS = 2048;

/** Rows of `seq` tokens that one micro-batch may have on this adapter. At least 1: a row is never cut. */
function maxMicroBatchRows({ gpu, config }: Model, seq: number): number {
  const { heads, headDim, hiddenSize, intermediateSize } = config;
  const limit = Math.min(gpu.device.limits.maxBufferSize, gpu.device.limits.maxStorageBufferBindingSize);
  const widest = Math.max(hiddenSize, intermediateSize, heads * headDim);
  const rowsByBinding = Math.floor(limit / (4 * seq * widest));
  return Math.max(1, Math.min(rowsByBinding, Math.floor(MICRO_BATCH_TOKENS / seq)));
}
