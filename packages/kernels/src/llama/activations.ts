import { type BufferView, createArena } from '../gpu/buffers.ts';
import type { Gpu } from '../gpu/device.ts';
import { LORA_TARGETS, type LoraConfig, type LoraTarget } from '../lora/layout.ts';
import { type Precision, planesOf } from '../ops/precision.ts';
import type { ActivationPlanes, QuantizedBuffer, QuantizedRows } from '../ops/quantize_activations.ts';
import type { LlamaConfig } from './config.ts';
import { type Capacity, countsOf, LOGIT_CHUNK_BYTES, logitRowsOf } from './plan-capacity.ts';
import { assignSlots, keptElements } from './plan-slots.ts';
import { halfName, type Keep, type PackedName, type TensorTable, tensorTable, zName } from './plan-tensors.ts';

export type { BatchShape, Capacity } from './plan-capacity.ts';

/**
 * What a layer computes and its backward pass needs; norm outputs, silu(gate)·up and attention probabilities are made again
 * there. Layers that keep nothing of a tensor in f32 all show the same one here.
 */
export interface LayerSaves {
  readonly xIn: BufferView; // (tokens, hidden)
  readonly q: BufferView; // (tokens, heads·headDim), after RoPE
  readonly k: BufferView; // (tokens, kvHeads·headDim), after RoPE
  readonly v: BufferView; // (tokens, kvHeads·headDim)
  readonly lse: BufferView; // (tokens, heads), flash attention's log of the softmax's denominator
  readonly attention: BufferView; // (tokens, heads·headDim)
  readonly xMid: BufferView; // (tokens, hidden)
  readonly gate: BufferView; // (tokens, ff)
  readonly up: BufferView; // (tokens, ff)
  readonly z: Readonly<Partial<Record<LoraTarget, BufferView>>>; // (tokens, rank), LoRA's A·x
  /** Where the layer's tensors wait, packed in halves, while other layers use the f32 ones; see `Keep`. */
  readonly halves: Readonly<Partial<Record<PackedName, BufferView>>>;
}

/** Scratch of the backward pass; `d` + name is the loss's derivative by that name. d(gate) and d(up) overwrite gate and up. */
export interface Gradients {
  readonly dx: BufferView; // (tokens, hidden), the residual stream
  readonly dh: BufferView; // (tokens, hidden)
  readonly dq: BufferView; // (tokens, heads·headDim)
  readonly dk: BufferView; // (tokens, kvHeads·headDim)
  readonly dv: BufferView; // (tokens, kvHeads·headDim)
  readonly dprobs: BufferView; // (rows·heads, seq, seq)
  readonly delta: BufferView; // (tokens, heads, 2), flash attention's lse and rowsum(dout ∘ out)
  readonly dattention: BufferView; // (tokens, heads·headDim)
  readonly dactive: BufferView; // (tokens, ff)
  readonly dz: BufferView; // (tokens, rank)
  readonly dlabelX: BufferView; // (labelRows, hidden), the residual stream above the last attention
  readonly dlabelAttention: BufferView; // (labelRows, heads·headDim)
  readonly dlabelH: BufferView; // (labelRows, hidden)
}

/** Every buffer that the passes over one batch touch, besides weights and adapter. Those never needed at once share memory. */
export interface Activations {
  readonly ids: BufferView; // u32 (tokens)
  readonly positions: BufferView; // u32 (tokens)
  readonly segments: BufferView; // u32 (tokens)
  readonly labelIndex: BufferView; // u32 (labelRows): the token whose output predicts the label
  readonly labels: BufferView; // u32 (labelRows)
  readonly labelExample: BufferView; // u32 (labelRows): which example of the micro-batch the label is of
  readonly layers: readonly LayerSaves[];
  readonly probs: BufferView; // (rows·heads, seq, seq), scratch of materialised attention
  readonly labelAttention: BufferView; // (labelRows, heads·headDim), of the last layer
  readonly labelX: BufferView; // (labelRows, hidden), the residual stream beside it
  readonly xOut: BufferView; // (labelRows, hidden), after the last layer
  readonly h: BufferView; // (tokens, hidden), scratch: a norm's output
  readonly active: BufferView; // (tokens, ff), scratch: silu(gate)·up
  readonly labelH: BufferView; // (labelRows, hidden)
  readonly logits: BufferView; // (at most logitRows, vocab), one chunk
  /** Rows of one chunk of logits. */
  readonly logitRows: number;
  readonly loss: BufferView; // (labelRows) nats
  readonly correct: BufferView; // u32 (labelRows)
  readonly gradients: Gradients | null;
  /** Scratch of quantised activations, with precision 'dp4a' or 'dp4a8'. */
  readonly quantized: QuantizedRows | null;
  readonly keep: Keep;
  readonly capacity: Capacity;
  readonly bytes: number;
  destroy(): void;
}

export interface ActivationOptions {
  readonly lora: LoraConfig | null;
  readonly keep: Keep;
  /** Default 'f32'. */
  readonly precision?: Precision | undefined;
  /** Logits are made in chunks of rows no larger than this (or 64 rows, where those are larger). Default 32 MiB. */
  readonly logitChunkBytes?: number | undefined;
}

/** Allocates everything once; programs of any batch that fits `capacity` are recorded on the same buffers. */
export function createActivations(
  gpu: Gpu,
  config: LlamaConfig,
  capacity: Capacity,
  { lora, keep, precision = 'f32', logitChunkBytes = LOGIT_CHUNK_BYTES }: ActivationOptions,
): Activations {
  const table = tensorTable(config, lora, { keep, precision, flash: capacity.flashTokens > 0 });
  const logitRows = logitRowsOf(config, logitChunkBytes);
  const planes = planesOf(precision);
  const arena = createArena(gpu.device);
  try {
    const { single, layers } = allocate(arena, table, config.layers, countsOf(capacity, logitRows));
    return {
      ...pick(single, ['ids', 'positions', 'segments', 'labelIndex', 'labels', 'labelExample', 'loss', 'correct']),
      ...pick(single, ['probs', 'labelAttention', 'labelX', 'xOut', 'h', 'active', 'labelH', 'logits']),
      layers: layers.map((own) => layerSaves(own, lora)),
      logitRows,
      gradients: keep === 'nothing' ? null : gradientsOf(single),
      quantized: planes ? quantizedOf(single, planes) : null,
      keep,
      capacity,
      bytes: arena.bytes,
      destroy: () => arena.destroy(),
    };
  } catch (error) {
    arena.destroy();
    throw error;
  }
}

type Views = ReadonlyMap<string, BufferView>;

/** The views of the table's single tensors, and for each layer these with its own on top. */
function allocate(
  arena: ReturnType<typeof createArena>,
  table: TensorTable,
  layerCount: number,
  counts: ReturnType<typeof countsOf>,
): { readonly single: Views; readonly layers: readonly Views[] } {
  const { sizes, places } = assignSlots(table.single, counts);
  const names = (slot: number) => [...places].filter(([, place]) => place.slot === slot).map(([name]) => name);
  const buffers = sizes.map((elements, slot) => arena.alloc(names(slot).join(', '), elements));
  const single = new Map<string, BufferView>();
  for (const [name, { slot, elements }] of places) {
    const { buffer, offset } = buffers[slot] as BufferView; // every place is in a slot
    single.set(name, { buffer, offset, size: Math.max(1, elements) * 4 });
  }
  const kept = keptElements(table, counts);
  const layers = Array.from({ length: layerCount }, (_, layer) => {
    const own = [...kept].map(([name, elements]) => [name, arena.alloc(`layer ${layer} ${name}`, elements)] as const);
    return new Map([...single, ...own]);
  });
  return { single, layers };
}

function viewOf(views: Views, name: string): BufferView {
  const view = views.get(name);
  if (!view) throw new RangeError(`the table of activations has no ${name}`);
  return view;
}

function pick<Name extends string>(views: Views, names: readonly Name[]): Record<Name, BufferView> {
  return Object.fromEntries(names.map((name) => [name, viewOf(views, name)])) as Record<Name, BufferView>;
}

const HALVES = ['q', 'k', 'v', 'attention', 'xMid', 'gate', 'up'] as const satisfies readonly PackedName[];

function layerSaves(views: Views, lora: LoraConfig | null): LayerSaves {
  const targets = LORA_TARGETS.filter((target) => lora?.targets.includes(target));
  const packed = HALVES.filter((name) => views.has(halfName(name)));
  return {
    ...pick(views, ['xIn', 'q', 'k', 'v', 'lse', 'attention', 'xMid', 'gate', 'up']),
    z: Object.fromEntries(targets.map((target) => [target, viewOf(views, zName(target))])),
    halves: Object.fromEntries(packed.map((name) => [name, viewOf(views, halfName(name))])),
  };
}

function gradientsOf(views: Views): Gradients {
  return {
    ...pick(views, ['dx', 'dh', 'dq', 'dk', 'dv', 'dz', 'dprobs', 'delta', 'dattention', 'dactive']),
    ...pick(views, ['dlabelX', 'dlabelAttention', 'dlabelH']),
  };
}

function quantizedOf(views: Views, planes: ActivationPlanes): QuantizedRows {
  const view = (name: QuantizedBuffer) => viewOf(views, `int8 ${name}`);
  return {
    planes,
    q: view('q'),
    scale: view('scale'),
    columns: view('columns'),
    outliers: view('outliers'),
    outlierX: view('outlierX'),
  };
}
