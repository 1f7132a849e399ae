import type { BufferView } from '../gpu/buffers.ts';
import type { ProgramBuilder } from '../gpu/program.ts';
import { type FlatVector, sliceOf } from '../lora/flat-vector.ts';
import { type AdapterLayout, LORA_TARGETS, type LoraTarget, targetShape } from '../lora/layout.ts';
import { type Dropout as LoraDropout, loraBackward, loraForward } from '../ops/lora.ts';
import { type MatmulBackward, matmulBackward, matmulForward } from '../ops/matmul.ts';
import { matmulForwardDp4a } from '../ops/matmul_dp4a.ts';
import { hasF16, type MatmulForwardF16, matmulBackwardF16, matmulForwardF16 } from '../ops/matmul_f16.ts';
import { matmulBackwardSubgroup, matmulForwardSubgroup, matrixUnit } from '../ops/matmul_subgroup.ts';
import type { Matrix } from '../ops/matrix.ts';
import { type Precision, planesOf } from '../ops/precision.ts';
import { type QuantizedRows, quantizeActivations } from '../ops/quantize_activations.ts';
import type { LayerSaves } from './activations.ts';
import { ModelError } from './error.ts';
import type { Model } from './weights.ts';

/** A LoRA adapter on the GPU: the flat vector, and where the gradient goes when there is one. */
export interface AdapterBuffers {
  readonly layout: AdapterLayout;
  readonly vector: FlatVector; // (layout.length)
  readonly gradient: FlatVector | null; // (layout.length), accumulates
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
  /** Scratch that 'dp4a' and 'dp4a8' quantise the activations into, for at least `rows` rows of the widest linear's inputs. */
  readonly quantized?: QuantizedRows | null;
}

export interface LinearInput {
  readonly x: BufferView;
  readonly y: BufferView;
  /** x holds what the linearForward before this one read: its quantised copy is used again. */
  readonly sameInput?: boolean;
}

/** The i-th layer's target linear, y = x·Wᵀ + (alpha/rank)·drop(x)·Aᵀ·Bᵀ. */
export function linearForward(
  context: LinearContext,
  layer: number,
  target: LoraTarget,
  saves: Pick<LayerSaves, 'z'>,
  input: LinearInput,
): void {
  const { b, model, adapter, dropout, rows } = context;
  const { x, y } = input;
  frozenForward(context, layerMatrix(model, layer, target), input);
  const z = saves.z[target];
  if (!adapter || !z) return;
  loraForward(b, { x, y, z, rows, ...loraSite(model, adapter, layer, target, dropout) });
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
  { b, model, adapter, dropout, rows, precision = 'f32' }: LinearContext,
  layer: number,
  target: LoraTarget,
  saves: Pick<LayerSaves, 'z'>,
  { x, dy, dx, dz, accumulate, below }: LinearGradients,
): void {
  // dz is free until LoRA's backward pass overwrites it, and a rank is at least one element a row.
  if (below) frozenBackward(b, precision, { dy, w: layerMatrix(model, layer, target), dx, rows, accumulate }, dz);
  const z = saves.z[target];
  if (!adapter?.gradient || !z) return;
  const [da, db] = matricesOf(adapter.layout, adapter.gradient, layer, target);
  loraBackward(b, { x, z, dy, dx, dz, da, db, rows, ...loraSite(model, adapter, layer, target, dropout) });
}

/** x·Wᵀ in the context's precision: the one place that decides which matmul a linear uses. */
function frozenForward(context: LinearContext, w: Matrix, { x, y, sameInput = false }: LinearInput): void {
  const { b, rows, precision = 'f32', quantized } = context;
  switch (precision) {
    case 'f32':
      matmulForward(b, { x, w, y, rows });
      break;
    case 'f16':
      halfForward(b, { x, w, y, rows });
      break;
    case 'dp4a':
    case 'dp4a8':
      if (w.dtype !== 'int8') {
        throw new ModelError(
          'wrong-dtype',
          `precision ${precision}: got ${w.dtype} weights, expected int8: quantise the model`,
        );
      }
      if (quantized?.planes !== planesOf(precision)) {
        throw new RangeError(`precision ${precision}: the activations were made without scratch for it`);
      }
      if (!sameInput) quantizeActivations(b, { x, quantized, rows, inputs: w.cols });
      matmulForwardDp4a(b, { x: quantized, w, y, rows });
      break;
    default:
      precision satisfies never;
  }
}

/** On matrix units where the device has them, else in f16, else in f32. */
function halfForward(b: ProgramBuilder, op: MatmulForwardF16): void {
  const unit = matrixUnit(b.gpu);
  if (unit) matmulForwardSubgroup(b, unit, op);
  else if (hasF16(b.gpu)) matmulForwardF16(b, op);
  else matmulForward(b, op);
}

/** dy·W in the precision; dp4a's backward pass is f32. `scratch` holds at least `rows` elements. */
function frozenBackward(b: ProgramBuilder, precision: Precision, op: MatmulBackward, scratch: BufferView): void {
  const unit = precision === 'f16' ? matrixUnit(b.gpu) : null;
  if (unit) matmulBackwardSubgroup(b, unit, { ...op, exponent: scratch });
  else if (precision === 'f16' && hasF16(b.gpu)) matmulBackwardF16(b, { ...op, exponent: scratch });
  else matmulBackward(b, op);
}

function layerMatrix(model: Model, layer: number, target: LoraTarget) {
  const weights = model.layers[layer];
  if (!weights) throw new RangeError(`layer ${layer} of a model with ${model.layers.length}`);
  return weights.linears[target];
}

/** One target's A and B, their shape, and the salt that makes its dropout mask its own. */
function loraSite(model: Model, adapter: AdapterBuffers, layer: number, target: LoraTarget, dropout: Dropout | null) {
  const { config } = adapter.layout;
  const [a, b] = matricesOf(adapter.layout, adapter.vector, layer, target);
  return {
    a,
    b,
    ...targetShape(model.config, target),
    rank: config.rank,
    scale: config.alpha / config.rank,
    ...(dropout ? { dropout: { ...dropout, salt: layer * LORA_TARGETS.length + LORA_TARGETS.indexOf(target) } } : {}),
  };
}

/** Where A and B, or their gradients, lie on the GPU. */
function matricesOf({ tensors }: AdapterLayout, vector: FlatVector, layer: number, target: LoraTarget) {
  const slice = (matrix: 'A' | 'B') => {
    const tensor = tensors.find((t) => t.layer === layer && t.target === target && t.matrix === matrix);
    if (!tensor) throw new RangeError(`the adapter has no ${target} ${matrix} in layer ${layer}`);
    return sliceOf(vector, tensor);
  };
  return [slice('A'), slice('B')] as const;
}
