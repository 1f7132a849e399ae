import type { BufferView } from '../gpu/buffers.ts';
import type { ProgramBuilder } from '../gpu/program.ts';
import { addInPlace } from '../ops/add.ts';
import { embeddingForward } from '../ops/embedding.ts';
import { gatherRows } from '../ops/gather_rows.ts';
import type { Precision } from '../ops/precision.ts';
import { rmsnormForward } from '../ops/rmsnorm.ts';
import { ropeForward } from '../ops/rope.ts';
import { swigluForward } from '../ops/swiglu.ts';
import type { Activations, BatchShape, LayerSaves } from './activations.ts';
import { type AdapterBuffers, type Dropout, type LinearContext, linearForward } from './linear.ts';
import type { AttentionKind } from './plan-capacity.ts';
import { recordAttention } from './rows-attention.ts';
import { putBy } from './saves.ts';
import type { LayerWeights, Model } from './weights.ts';

/** One pass over one padded batch, forward or backward. */
export interface Pass {
  readonly b: ProgramBuilder;
  readonly model: Model;
  readonly adapter: AdapterBuffers | null;
  readonly dropout: Dropout | null;
  readonly acts: Activations;
  readonly shape: BatchShape;
  /** Arithmetic of the frozen matmuls. Default 'f32'. */
  readonly precision?: Precision;
  /** Default 'materialised'. */
  readonly attention?: AttentionKind;
  /** Whether a backward pass follows, for which layers that share their tensors have to put them by. Default false. */
  readonly backwardFollows?: boolean;
}

/**
 * Llama (arXiv 2302.13971): x ← embedding; each layer x ← x + Attention(RMSNorm(x)), x ← x + SwiGLU(RMSNorm(x)).
 * Reads acts.ids, positions, segments and labelIndex; leaves every layer's saves as acts.keep says and, of the labelled
 * positions alone, acts.xOut: above the last attention nothing reads the others. The head is in head.ts.
 * `afterKeys` is called where a layer's keys and values are made and not yet overwritten.
 */
export function recordForward(pass: Pass, afterKeys?: (layer: number, saves: LayerSaves) => void): void {
  const { b, model, acts, shape } = pass;
  const dim = model.config.hiddenSize;

  embeddingForward(b, { ids: acts.ids, w: model.embedding, x: layerInput(acts, 0), rows: shape.batch * shape.seq });
  eachLayer(pass, 'up', (layer, weights, saves) => {
    const { xMid, gate, up } = saves;
    const { active } = acts;
    const upper = upperHalf(pass, layer, saves);
    const xOut = layerInput(acts, layer + 1);
    recordLayerSaves(pass, layer, weights, saves, afterKeys);
    swigluForward(b, { gate, up, y: active, length: upper.rows * model.config.intermediateSize });
    linearForward(upper, layer, 'down_proj', saves, { x: active, y: xOut });
    addInPlace(b, { x: xOut, y: xMid, length: upper.rows * dim });
  });
}

/** A layer from its input xIn up to gate and up, which is all that its backward pass needs of it. */
export function recordLayerSaves(
  pass: Pass,
  layer: number,
  weights: LayerWeights,
  saves: LayerSaves,
  afterKeys?: (layer: number, saves: LayerSaves) => void,
): void {
  const { b, model, acts, shape } = pass;
  const { hiddenSize: dim, heads, kvHeads, headDim, rmsNormEps: eps } = model.config;
  const rows = shape.batch * shape.seq;
  const { xIn, q, k, v, xMid, gate, up } = saves;
  const { h, positions } = acts;
  const rope = { positions, inverseFrequency: model.inverseFrequency, rows, headDim };
  const lower = linearContext(pass, rows);
  const upper = upperHalf(pass, layer, saves);

  rmsnormForward(b, { x: xIn, weight: weights.inputNorm, y: h, rows, dim, eps });
  linearForward(lower, layer, 'q_proj', saves, { x: h, y: q });
  linearForward(lower, layer, 'k_proj', saves, { x: h, y: k, sameInput: true });
  linearForward(lower, layer, 'v_proj', saves, { x: h, y: v, sameInput: true });
  ropeForward(b, { x: q, heads, ...rope });
  ropeForward(b, { x: k, heads: kvHeads, ...rope });
  afterKeys?.(layer, saves);
  recordAttention(pass, saves);
  putBy(pass, saves, ['q', 'k', 'v', 'attention'], rows);
  if (upper.gathered) {
    const labelled = { index: acts.labelIndex, count: upper.rows };
    gatherRows(b, { x: saves.attention, y: upper.attention, ...labelled, dim: heads * headDim });
    gatherRows(b, { x: xIn, y: upper.x, ...labelled, dim });
  }
  linearForward(upper, layer, 'o_proj', saves, { x: upper.attention, y: xMid });
  addInPlace(b, { x: xMid, y: upper.x, length: upper.rows * dim });

  rmsnormForward(b, { x: xMid, weight: weights.postAttentionNorm, y: h, rows: upper.rows, dim, eps });
  linearForward(upper, layer, 'gate_proj', saves, { x: h, y: gate });
  linearForward(upper, layer, 'up_proj', saves, { x: h, y: up, sameInput: true });
  putBy(pass, saves, ['xMid', 'gate', 'up'], upper.rows);
}

/** What linears of a pass need to know. */
export function linearContext(pass: Pass, rows: number): LinearContext {
  return { ...pass, quantized: pass.acts.quantized, rows };
}

/** What a layer works on above its attention. */
export interface UpperHalf extends LinearContext {
  /** Whether these are the labelled rows only, gathered from the lower half. */
  readonly gathered: boolean;
  readonly attention: BufferView; // (rows, heads·headDim)
  readonly x: BufferView; // (rows, hidden), the residual stream as it entered the layer
}

/** All tokens, but in the last layer the labelled ones: nothing looks at the others any more. */
export function upperHalf(pass: Pass, layer: number, saves: LayerSaves): UpperHalf {
  const { model, acts, shape } = pass;
  if (layer < model.layers.length - 1) {
    const context = linearContext(pass, shape.batch * shape.seq);
    return { ...context, gathered: false, attention: saves.attention, x: saves.xIn };
  }
  const context = linearContext(pass, shape.labelRows);
  return { ...context, gathered: true, attention: acts.labelAttention, x: acts.labelX };
}

/** The residual stream as it enters a layer; after the last layer it is what the head reads. */
export function layerInput(acts: Activations, layer: number) {
  return acts.layers[layer]?.xIn ?? acts.xOut;
}

/** Visits the layers upwards (forward) or downwards (backward). */
export function eachLayer(
  { model, acts }: Pick<Pass, 'model' | 'acts'>,
  direction: 'up' | 'down',
  visit: (layer: number, weights: LayerWeights, saves: LayerSaves) => void,
): void {
  const count = model.layers.length;
  for (let i = 0; i < count; i++) {
    const layer = direction === 'up' ? i : count - 1 - i;
    const weights = model.layers[layer];
    const saves = acts.layers[layer];
    if (!weights || !saves) throw new RangeError(`layer ${layer} has no ${weights ? 'activations' : 'weights'}`);
    visit(layer, weights, saves);
  }
}
