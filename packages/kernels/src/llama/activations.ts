import { type BufferView, createArena } from '../gpu/buffers.ts';
import type { Gpu } from '../gpu/device.ts';
import { LORA_TARGETS, type LoraConfig, type LoraTarget } from '../lora/layout.ts';
import type { LlamaConfig } from './config.ts';

/** One padded batch: `batch` rows of `seq` tokens, of which `labelRows` positions go through the vocabulary matmul. */
export interface BatchShape {
  readonly batch: number;
  readonly seq: number;
  readonly labelRows: number;
}

/** What a layer leaves behind for its backward pass; norm outputs and silu(gate)·up are recomputed there instead. */
export interface LayerSaves {
  readonly xIn: BufferView; // (tokens, hidden)
  readonly q: BufferView; // (tokens, heads·headDim), after RoPE
  readonly k: BufferView; // (tokens, kvHeads·headDim), after RoPE
  readonly v: BufferView; // (tokens, kvHeads·headDim)
  readonly probs: BufferView; // (batch·heads, seq, seq)
  readonly attention: BufferView; // (tokens, heads·headDim)
  readonly xMid: BufferView; // (tokens, hidden)
  readonly gate: BufferView; // (tokens, ff)
  readonly up: BufferView; // (tokens, ff)
  readonly z: Readonly<Partial<Record<LoraTarget, BufferView>>>; // (tokens, rank), LoRA's A·x
}

/** Scratch of the backward pass; `d` + name is the loss's derivative by that name. */
export interface Gradients {
  readonly dx: BufferView; // (tokens, hidden), the residual stream
  readonly dh: BufferView; // (tokens, hidden)
  readonly dq: BufferView; // (tokens, heads·headDim)
  readonly dk: BufferView; // (tokens, kvHeads·headDim)
  readonly dv: BufferView; // (tokens, kvHeads·headDim)
  readonly dprobs: BufferView; // (batch·heads, seq, seq)
  readonly dattention: BufferView; // (tokens, heads·headDim)
  readonly dactive: BufferView; // (tokens, ff)
  readonly dgate: BufferView; // (tokens, ff)
  readonly dup: BufferView; // (tokens, ff)
  readonly dz: BufferView; // (tokens, rank)
  readonly dlabelX: BufferView; // (labelRows, hidden), the residual stream above the last attention
  readonly dlabelAttention: BufferView; // (labelRows, heads·headDim)
  readonly dlabelH: BufferView; // (labelRows, hidden)
}

/** Every buffer that the passes over one batch touch, besides weights and adapter. */
export interface Activations {
  readonly ids: BufferView; // u32 (tokens)
  readonly positions: BufferView; // u32 (tokens)
  readonly segments: BufferView; // u32 (tokens)
  readonly labelIndex: BufferView; // u32 (labelRows): the token whose output predicts the label
  readonly labels: BufferView; // u32 (labelRows)
  readonly layers: readonly LayerSaves[];
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
  readonly capacity: Capacity;
  readonly bytes: number;
  destroy(): void;
}

/** Sizes that decide whether a batch fits a table of activations. */
export interface Capacity {
  readonly tokens: number;
  /** Elements of (batch·heads, seq, seq). */
  readonly probs: number;
  readonly labelRows: number;
}

export interface ActivationOptions {
  readonly lora: LoraConfig | null;
  /** With 'backward' every layer keeps its saves; with 'forward' the layers take turns on two sets. */
  readonly pass: 'forward' | 'backward';
  /** Logits are made in chunks of rows no larger than this (or 64 rows, where those are larger). Default 32 MiB. */
  readonly logitChunkBytes?: number | undefined;
}

const LOGIT_CHUNK_BYTES = 32 * 2 ** 20;

/** Rows of logits in one chunk: a multiple of 64, so that chunks of per-row buffers start at multiples of 256 bytes. */
function chunkRows(vocabSize: number, chunkBytes: number): number {
  return Math.max(64, Math.floor(chunkBytes / (vocabSize * 4) / 64) * 64);
}

export function requiredCapacity(config: LlamaConfig, shape: BatchShape): Capacity {
  return {
    tokens: shape.batch * shape.seq,
    probs: shape.batch * config.heads * shape.seq * shape.seq,
    labelRows: shape.labelRows,
  };
}

/** Whether a batch that needs `wanted` fits in `held`. */
export function fits(wanted: Capacity, held: Capacity): boolean {
  return wanted.tokens <= held.tokens && wanted.probs <= held.probs && wanted.labelRows <= held.labelRows;
}

/** The smallest capacity that holds both. */
export function largerCapacity(a: Capacity, b: Capacity): Capacity {
  return {
    tokens: Math.max(a.tokens, b.tokens),
    probs: Math.max(a.probs, b.probs),
    labelRows: Math.max(a.labelRows, b.labelRows),
  };
}

/** Allocates everything once; programs of any batch that fits `capacity` are recorded on the same buffers. */
export function createActivations(
  gpu: Gpu,
  config: LlamaConfig,
  capacity: Capacity,
  { lora, pass, logitChunkBytes = LOGIT_CHUNK_BYTES }: ActivationOptions,
): Activations {
  const { tokens, probs, labelRows } = capacity;
  const { hiddenSize, intermediateSize, vocabSize } = config;
  const qSize = config.heads * config.headDim;
  const kvSize = config.kvHeads * config.headDim;
  const rank = lora?.rank ?? 0;
  const logitRows = chunkRows(vocabSize, logitChunkBytes);
  const arena = createArena(gpu.device);
  // The last layer's upper half has a row a label, of which there may be more than tokens by their padding.
  const perToken = (label: string, width: number): BufferView =>
    arena.alloc(label, Math.max(tokens, labelRows) * width);
  const perLabel = (label: string, width: number): BufferView => arena.alloc(label, labelRows * width);
  const layerSaves = (i: number): LayerSaves => ({
    xIn: perToken(`layer ${i} xIn`, hiddenSize),
    q: perToken(`layer ${i} q`, qSize),
    k: perToken(`layer ${i} k`, kvSize),
    v: perToken(`layer ${i} v`, kvSize),
    probs: arena.alloc(`layer ${i} probs`, probs),
    attention: perToken(`layer ${i} attention`, qSize),
    xMid: perToken(`layer ${i} xMid`, hiddenSize),
    gate: perToken(`layer ${i} gate`, intermediateSize),
    up: perToken(`layer ${i} up`, intermediateSize),
    z: Object.fromEntries(
      LORA_TARGETS.filter((target) => lora?.targets.includes(target)).map((target) => [
        target,
        perToken(`layer ${i} ${target} z`, rank),
      ]),
    ),
  });
  const gradients = (): Gradients => ({
    dx: perToken('dx', hiddenSize),
    dh: perToken('dh', hiddenSize),
    dq: perToken('dq', qSize),
    dk: perToken('dk', kvSize),
    dv: perToken('dv', kvSize),
    dprobs: arena.alloc('dprobs', probs),
    dattention: perToken('dattention', qSize),
    dactive: perToken('dactive', intermediateSize),
    dgate: perToken('dgate', intermediateSize),
    dup: perToken('dup', intermediateSize),
    dz: perToken('dz', rank),
    dlabelX: perLabel('dlabelX', hiddenSize),
    dlabelAttention: perLabel('dlabelAttention', qSize),
    dlabelH: perLabel('dlabelH', hiddenSize),
  });
  try {
    const sets = Array.from({ length: pass === 'backward' ? config.layers : 2 }, (_, i) => layerSaves(i));
    return {
      ids: perToken('ids', 1),
      positions: perToken('positions', 1),
      segments: perToken('segments', 1),
      labelIndex: perLabel('label index', 1),
      labels: perLabel('labels', 1),
      layers: Array.from({ length: config.layers }, (_, i) => sets[i % sets.length] as LayerSaves), // i % length is in range
      labelAttention: perLabel('labelAttention', qSize),
      labelX: perLabel('labelX', hiddenSize),
      xOut: perLabel('xOut', hiddenSize),
      h: perToken('h', hiddenSize),
      active: perToken('active', intermediateSize),
      labelH: perLabel('labelH', hiddenSize),
      logits: arena.alloc('logits', Math.min(labelRows, logitRows) * vocabSize),
      logitRows,
      loss: perLabel('loss', 1),
      correct: perLabel('correct', 1),
      gradients: pass === 'backward' ? gradients() : null,
      capacity,
      bytes: arena.bytes,
      destroy: () => arena.destroy(),
    };
  } catch (error) {
    arena.destroy();
    throw error;
  }
}
