import { adapterLayout, type LoraConfig } from '../lora/layout.ts';
import type { Precision } from '../ops/precision.ts';
import { modelTensors, storedBytes } from '../quantize/model-tensors.ts';
import type { LlamaConfig } from './config.ts';
import { adapterBuffers, type Corrections, type PlannedBuffer, pairBytes, type Task } from './plan-adapter.ts';
import {
  type AttentionKind,
  type Capacity,
  countsOf,
  LOGIT_CHUNK_BYTES,
  logitRowsOf,
  requiredCapacity,
} from './plan-capacity.ts';
import { assignSlots, keptElements } from './plan-slots.ts';
import { keepOf, type Plan, tensorTable } from './plan-tensors.ts';

/** What decides how much GPU memory a training step takes. */
export interface PlanRequest extends Corrections {
  /** Default 'sft'. */
  readonly task?: Task | undefined;
  /** Storage type of the weights. */
  readonly dtype: 'int8' | 'f32';
  readonly precision: Precision;
  readonly plan: Plan;
  readonly attention: AttentionKind;
  /** One micro-batch: rows of seq tokens. */
  readonly batch: number;
  readonly seq: number;
  /** Positions with a label. Default: all. */
  readonly labelRows?: number | undefined;
  readonly logitChunkBytes?: number | undefined;
  /** The adapter's largest storage binding. Default: what every WebGPU device offers, 128 MiB. */
  readonly bindingBytes?: number | undefined;
}

/** GPU memory of a training step in bytes, by part. */
export interface MemoryPlan {
  readonly plan: Plan;
  readonly batch: number;
  readonly seq: number;
  readonly weights: number;
  /** Adapter, gradient and AdamW's moments; w₀ and drift where asked for. */
  readonly optimizer: number;
  /** What the layers keep for their backward passes. */
  readonly saves: number;
  /** Everything that layers and head share, the chunk of logits included, and what DPO knows of its pairs. */
  readonly scratch: number;
  /** The buffer through which a checkpoint reads adapter and moments. */
  readonly readBack: number;
  /** One chunk of logits, in memory that it shares with other scratch. */
  readonly logits: number;
  readonly total: number;
  /** The largest single buffer: at most the adapter's largest binding. */
  readonly largestBuffer: { readonly name: string; readonly bytes: number };
}

/** The largest binding that every WebGPU device offers. */
export const DEFAULT_BINDING_BYTES = 128 * 2 ** 20;

/** Counts, from the tables that allocate, what training would take. Allocates nothing. */
export function planMemory(config: LlamaConfig, lora: LoraConfig, request: PlanRequest): MemoryPlan {
  const { dtype, batch, seq, attention, plan, bindingBytes = DEFAULT_BINDING_BYTES } = request;
  const shape = { batch, seq, labelRows: request.labelRows ?? batch * seq };
  const capacity = requiredCapacity(config, shape, { attention, bindingBytes });
  const { saves, scratch: shared, logits, buffers } = activationBytes(config, lora, capacity, request);
  const weights = weightBuffers(config, dtype);
  const { optimizer, readBack } = adapterBuffers(adapterLayout(config, lora), request, bindingBytes);
  const scratch = shared + (request.task === 'dpo' ? pairBytes(capacity.labelRows) : 0);
  const parts = { weights: sumBytes(weights), optimizer: sumBytes(optimizer), saves, scratch, readBack };
  const total = Object.values(parts).reduce((sum, bytes) => sum + bytes, 0);
  const largestBuffer = [...weights, ...optimizer, ...buffers].reduce((a, b) => (b.bytes > a.bytes ? b : a));
  return { plan, batch, seq, ...parts, logits, total, largestBuffer };
}

function sumBytes(buffers: readonly PlannedBuffer[]): number {
  return buffers.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** Activations that `createActivations` would make for this capacity. */
export function activationBytes(
  config: LlamaConfig,
  lora: LoraConfig,
  capacity: Capacity,
  { plan, precision, logitChunkBytes = LOGIT_CHUNK_BYTES }: Pick<PlanRequest, 'plan' | 'precision' | 'logitChunkBytes'>,
): {
  readonly saves: number;
  readonly scratch: number;
  readonly logits: number;
  readonly buffers: readonly PlannedBuffer[];
} {
  const table = tensorTable(config, lora, {
    keep: keepOf(plan, precision),
    precision,
    flash: capacity.flashTokens > 0,
  });
  const logitRows = logitRowsOf(config, logitChunkBytes);
  const counts = countsOf(capacity, logitRows);
  const { sizes, places } = assignSlots(table.single, counts);
  const nameOf = (slot: number): string => [...places].find(([, place]) => place.slot === slot)?.[0] ?? 'scratch';
  const shared = sizes.map((elements, slot) => ({ name: nameOf(slot), bytes: Math.max(1, elements) * 4 }));
  const kept = [...keptElements(table, counts)].map(([name, elements]) => ({ name, bytes: Math.max(1, elements) * 4 }));
  return {
    saves: config.layers * sumBytes(kept),
    scratch: sumBytes(shared),
    logits: counts.logit * config.vocabSize * 4,
    buffers: [...shared, ...kept],
  };
}

function weightBuffers(config: LlamaConfig, dtype: 'int8' | 'f32'): PlannedBuffer[] {
  const tensors = modelTensors(config).flatMap((tensor) => {
    const bytes = storedBytes(tensor, dtype);
    if (dtype === 'f32' || tensor.kind === 'norm') return [{ name: tensor.name, bytes }];
    const scale = 4 * tensor.shape[0];
    return [
      { name: tensor.name, bytes: bytes - scale },
      { name: `${tensor.name} scale`, bytes: scale },
    ];
  });
  return [...tensors, { name: 'inverse frequencies', bytes: 2 * config.headDim }];
}
