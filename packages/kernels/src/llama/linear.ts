import type { BufferView } from '../gpu/buffers.ts';
import type { ProgramBuilder } from '../gpu/program.ts';
import { type AdapterLayout, LORA_TARGETS, type LoraTarget, targetShape } from '../lora/layout.ts';
import { type Dropout as LoraDropout, loraBackward, loraForward } from '../ops/lora.ts';
import { matmulBackward, matmulForward } from '../ops/matmul.ts';
import type { Precision } from '../ops/precision.ts';
import type { QuantizedRows } from '../ops/quantize_activations.ts';
import type { LayerSaves } from './activations.ts';
import type { Model } from './weights.ts';

/** A LoRA adapter on the GPU: the flat vector, and where the gradient goes when there is one. */
export interface AdapterBuffers {
  readonly layout: AdapterLayout;
  readonly vector: BufferView; // (layout.length)
  readonly gradient: BufferView | null; // (layout.length), accumulates
}

/** Dropout on the adapters' inputs while training; every site gets a salt of its own. */
export type Dropout = Omit<LoraDropout, 'salt'>;

export interface LinearContext {
  readonly b: ProgramBuilder;
  readonly model: Model;
  readonly adapter: AdapterBuffers | null;
  readonly dropout: Dropout | null;
  readonly rows: number;
  /** Arithmetic of the frozen matmuls. Default 'f32'. */
  readonly precision?: Precision;
  /** Scratch that 'dp4a' quantises the activations into, for at least `rows` rows of the widest linear's inputs. */
  readonly quantized?: QuantizedRows | null;
}

/** The i-th layer's target linear, y = x·Wᵀ + (alpha/rank)·drop(x)·Aᵀ·Bᵀ. */
export function linearForward(
  { b, model, adapter, dropout, rows }: LinearContext,
  layer: number,
  target: LoraTarget,
  saves: Pick<LayerSaves, 'z'>,
  { x, y }: { readonly x: BufferView; readonly y: BufferView },
): void {
  matmulForward(b, { x, w: layerMatrix(model, layer, target), y, rows });
  const z = saves.z[target];
  if (!adapter || !z) return;
  loraForward(b, { x, y, z, adapter: adapter.vector, rows, ...loraSite(model, adapter, layer, target, dropout) });
}

export interface LinearGradients {
  readonly x: BufferView;
  readonly dy: BufferView;
  readonly dx: BufferView;
  readonly dz: BufferView;
  /** Add to dx instead of overwriting it. */
  readonly accumulate: boolean;
  /** False where nothing below has a gradient: then only the adapter's own gradient is computed, and dx is scratch. */
  readonly below: boolean;
}

/** dx (+)= dy·W + the adapter's part; the adapter's gradient accumulates. W is frozen: dW is never computed. */
export function linearBackward(
  { b, model, adapter, dropout, rows }: LinearContext,
  layer: number,
  target: LoraTarget,
  saves: Pick<LayerSaves, 'z'>,
  { x, dy, dx, dz, accumulate, below }: LinearGradients,
): void {
  if (below) matmulBackward(b, { dy, w: layerMatrix(model, layer, target), dx, rows, accumulate });
  const z = saves.z[target];
  if (!adapter?.gradient || !z) return;
  const site = loraSite(model, adapter, layer, target, dropout);
  loraBackward(b, { x, z, dy, dx, dz, adapter: adapter.vector, dAdapter: adapter.gradient, rows, ...site });
}

function layerMatrix(model: Model, layer: number, target: LoraTarget) {
  const weights = model.layers[layer];
  if (!weights) throw new RangeError(`layer ${layer} of a model with ${model.layers.length}`);
  return weights.linears[target];
}

/** Where one target's A and B lie in the flat vector, their shape, and the salt that makes its dropout mask its own. */
function loraSite(model: Model, adapter: AdapterBuffers, layer: number, target: LoraTarget, dropout: Dropout | null) {
  const { tensors, config } = adapter.layout;
  const place = (matrix: 'A' | 'B'): number => {
    const tensor = tensors.find((t) => t.layer === layer && t.target === target && t.matrix === matrix);
    if (!tensor) throw new RangeError(`the adapter has no ${target} ${matrix} in layer ${layer}`);
    return tensor.offset;
  };
  return {
    aOffset: place('A'),
    bOffset: place('B'),
    ...targetShape(model.config, target),
    rank: config.rank,
    scale: config.alpha / config.rank,
    ...(dropout ? { dropout: { ...dropout, salt: layer * LORA_TARGETS.length + LORA_TARGETS.indexOf(target) } } : {}),
  };
}
