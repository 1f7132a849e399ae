import type { Gpu } from '../gpu/device.ts';
import type { LlamaConfig } from '../llama/config.ts';
import { activationBytes, type MemoryPlan } from '../llama/plan.ts';
import { type Corrections, leastRows, pairBytes, type Task } from '../llama/plan-adapter.ts';
import {
  type AttentionKind,
  type BatchShape,
  type Capacity,
  largerCapacity,
  requiredCapacity,
} from '../llama/plan-capacity.ts';
import { type ChoiceRequest, choosePlan, MICRO_BATCH_TOKENS, PlanError } from '../llama/plan-choice.ts';
import type { Plan } from '../llama/plan-tensors.ts';
import type { Model } from '../llama/weights.ts';
import type { AdapterLayout, LoraConfig } from '../lora/layout.ts';
import { preferFlash } from '../ops/flash_attention.ts';
import type { Precision } from '../ops/precision.ts';
import { labelBucket } from './batch.ts';
import type { PackOptions } from './pack.ts';

/** How a trainer computes, beside what it learns. */
export interface ComputeOptions extends Corrections {
  /** What is to come, for which the budget has to leave room, as for `proximal` and `drift`. Default 'sft'. */
  readonly task?: Task;
  /** Most rows in one micro-batch, below what the adapter allows; larger batches are split and accumulated. */
  readonly maxBatchRows?: number;
  /** Most tokens of a micro-batch, padding included, where memory allows them. Default 2048: more gains little. */
  readonly microBatchTokens?: number;
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
  /** Tokens of the longest row to come: the plan is chosen so that it fits the budget. Default: 512. */
  readonly longestRow?: number;
}

/** ComputeOptions decided for a model on its adapter, once: the same shape is always computed in the same way. */
export interface ComputeSettings extends PackOptions {
  readonly precision: Precision;
  readonly plan: Plan;
  readonly attentionFor: (shape: Pick<BatchShape, 'batch' | 'seq'>) => AttentionKind;
  readonly logitChunkBytes: number | undefined;
}

/** Row length that the choice of a plan supposes; longer rows get smaller micro-batches. */
const USUAL_SEQ = 512;

/** Decides them. Throws PlanError when nothing fits the budget, GpuError 'limit' later when a row is too long for it. */
export function computeSettings(model: Model, layout: AdapterLayout, options: ComputeOptions): ComputeSettings {
  const { gpu, config, dtype } = model;
  const { precision = 'f32', logitChunkBytes, budgetBytes, packing = true, microBatchTokens, task = 'sft' } = options;
  const lora = layout.config;
  const bindingBytes = bindingLimit(gpu);
  const { attention: wanted = 'auto' } = options;
  const attentionFor = (shape: Pick<BatchShape, 'batch' | 'seq'>): AttentionKind => {
    if (wanted !== 'auto') return wanted;
    const { heads, kvHeads, headDim } = config;
    return preferFlash(gpu, { ...shape, heads, kvHeads, headDim }) ? 'flash' : 'materialised';
  };
  const { proximal, drift } = options;
  const fixed = { dtype, precision, logitChunkBytes, bindingBytes, task, proximal, drift };
  const least = leastRows(task);
  const request = { ...fixed, budgetBytes, plan: options.plan, microBatchTokens };
  const longest = Math.max(USUAL_SEQ, options.longestRow ?? 0);
  const usual = usualPlan(config, lora, { ...request, seq: Math.min(longest, config.maxPositions) }, attentionFor);
  const { plan, seq } = usual;
  const capacityOf = (shape: BatchShape): Capacity =>
    requiredCapacity(config, shape, { attention: attentionFor(shape), bindingBytes });
  const usualCapacity = capacityOf({ batch: usual.batch, seq, labelRows: usual.batch * seq });
  /** The table that has held both the usual micro-batches and these fits, so the order in which they come is no matter. */
  const fits = (batch: number, rowSeq: number): boolean => {
    const own = capacityOf({ batch, seq: rowSeq, labelRows: labelBucket(batch * rowSeq) });
    const capacity = largerCapacity(usualCapacity, own);
    const { saves, scratch, buffers } = activationBytes(config, lora, capacity, { ...fixed, plan });
    const pairs = task === 'dpo' ? pairBytes(capacity.labelRows) : 0;
    const total = usual.weights + usual.optimizer + usual.readBack + saves + scratch + pairs;
    return total <= (budgetBytes ?? total) && buffers.every(({ bytes }) => bytes <= bindingBytes);
  };
  const withinBudget = (rowSeq: number): boolean => budgetBytes === undefined || fits(least, rowSeq);
  const rowsBySeq = new Map<number, number>();
  const mostRows = (rowSeq: number): number => {
    let rows = Math.max(least, Math.floor((usual.batch * seq) / rowSeq));
    while (rows > least && !fits(rows, rowSeq)) rows -= 1;
    if (rows > least || withinBudget(rowSeq)) return rows;
    const attention = attentionFor({ batch: least, seq: rowSeq });
    choosePlan(config, lora, { ...fixed, seq: rowSeq, attention, budgetBytes, plan }); // says what would fit
    return rows;
  };
  const maxRows = (rowSeq: number): number => {
    const rows = rowsBySeq.get(rowSeq) ?? mostRows(rowSeq);
    rowsBySeq.set(rowSeq, rows);
    return Math.min(rows, options.maxBatchRows ?? Number.POSITIVE_INFINITY);
  };
  return {
    precision,
    plan,
    attentionFor,
    logitChunkBytes,
    packing,
    maxRows,
    rowFits: withinBudget,
    attentionScale: 6 * config.hiddenSize, // 4·seq·hidden FLOPs a token beside the 24·hidden² of a layer's linears
  };
}

/** The plan for rows of the length asked for, or for the longest that fits the budget. */
function usualPlan(
  config: LlamaConfig,
  lora: LoraConfig,
  request: Omit<ChoiceRequest, 'attention'>,
  attentionFor: ComputeSettings['attentionFor'],
): MemoryPlan {
  let { seq } = request;
  let failure: unknown;
  for (; seq >= 1; seq = Math.floor(seq / 2)) {
    const tokens = request.microBatchTokens ?? MICRO_BATCH_TOKENS;
    const batch = Math.max(leastRows(request.task ?? 'sft'), Math.floor(tokens / seq));
    try {
      return choosePlan(config, lora, { ...request, seq, attention: attentionFor({ batch, seq }) });
    } catch (error) {
      if (!(error instanceof PlanError)) throw error;
      failure ??= error;
    }
  }
  throw failure;
}

function bindingLimit({ device }: Gpu): number {
  return Math.min(device.limits.maxBufferSize, device.limits.maxStorageBufferBindingSize);
}
