import type { BufferView } from '../gpu/buffers.ts';
import type { ProgramBuilder } from '../gpu/program.ts';
import { addInPlace } from '../ops/add.ts';
import { attentionForward } from '../ops/attention.ts';
import { embeddingForward } from '../ops/embedding.ts';
import { gatherRows } from '../ops/gather_rows.ts';
import { rmsnormForward } from '../ops/rmsnorm.ts';
import { ropeForward } from '../ops/rope.ts';
import { swigluForward } from '../ops/swiglu.ts';
import type { Activations, BatchShape, LayerSaves } from './activations.ts';
import { type AdapterBuffers, type Dropout, type LinearContext, linearForward } from './linear.ts';
import type { LayerWeights, Model } from './weights.ts';

/** One pass over one padded batch, forward or backward. */
export interface Pass {
  readonly b: ProgramBuilder;
  readonly model: Model;
  readonly adapter: AdapterBuffers | null;
  readonly dropout: Dropout | null;
  readonly acts: Activations;
  readonly shape: BatchShape;
}

/**
 * Llama (arXiv 2302.13971): x ← embedding; each layer x ← x + Attention(RMSNorm(x)), x ← x + SwiGLU(RMSNorm(x)).
 * Reads acts.ids, positions, segments and labelIndex; leaves every layer's saves and, of the labelled positions alone,
 * acts.xOut: above the last attention nothing reads the others. The head is in head.ts.
 */
export function recordForward(pass: Pass, afterLayer?: (layer: number, saves: LayerSaves) => void): void {
  const { b, model, acts, shape } = pass;
  const { hiddenSize: dim, intermediateSize, heads, kvHeads, headDim, rmsNormEps: eps } = model.config;
  const { batch, seq } = shape;
  const rows = batch * seq;
  const { h, active, positions, segments } = acts;
  const rope = { positions, inverseFrequency: model.inverseFrequency, rows, headDim };

  embeddingForward(b, { ids: acts.ids, w: model.embedding, x: layerInput(acts, 0), rows });
  eachLayer(pass, 'up', (layer, weights, saves) => {
    const { xIn, q, k, v, probs, xMid, gate, up } = saves;
    const xOut = layerInput(acts, layer + 1);
    const context = { ...pass, rows };
    const upper = upperHalf(pass, layer, saves);

    rmsnormForward(b, { x: xIn, weight: weights.inputNorm, y: h, rows, dim, eps });
    linearForward(context, layer, 'q_proj', saves, { x: h, y: q });
    linearForward(context, layer, 'k_proj', saves, { x: h, y: k });
    linearForward(context, layer, 'v_proj', saves, { x: h, y: v });
    ropeForward(b, { x: q, heads, ...rope });
    ropeForward(b, { x: k, heads: kvHeads, ...rope });
    attentionForward(b, { q, k, v, segments, probs, out: saves.attention, batch, seq, heads, kvHeads, headDim });
    if (upper.gathered) {
      const labelled = { index: acts.labelIndex, count: upper.rows };
      gatherRows(b, { x: saves.attention, y: upper.attention, ...labelled, dim: heads * headDim });
      gatherRows(b, { x: xIn, y: upper.x, ...labelled, dim });
    }
    linearForward(upper, layer, 'o_proj', saves, { x: upper.attention, y: xMid });
    addInPlace(b, { x: xMid, y: upper.x, length: upper.rows * dim });

    rmsnormForward(b, { x: xMid, weight: weights.postAttentionNorm, y: h, rows: upper.rows, dim, eps });
    linearForward(upper, layer, 'gate_proj', saves, { x: h, y: gate });
    linearForward(upper, layer, 'up_proj', saves, { x: h, y: up });
    swigluForward(b, { gate, up, y: active, length: upper.rows * intermediateSize });
    linearForward(upper, layer, 'down_proj', saves, { x: active, y: xOut });
    addInPlace(b, { x: xOut, y: xMid, length: upper.rows * dim });
    afterLayer?.(layer, saves);
  });
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
    return { ...pass, gathered: false, rows: shape.batch * shape.seq, attention: saves.attention, x: saves.xIn };
  }
  return { ...pass, gathered: true, rows: shape.labelRows, attention: acts.labelAttention, x: acts.labelX };
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
