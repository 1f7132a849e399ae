import type { BufferView } from '../gpu/buffers.ts';
import { defineKernel } from '../gpu/kernel.ts';
import { gridFor, type ProgramBuilder } from '../gpu/program.ts';
import keysWgsl from './attention_keys.wgsl?raw';
import { type AttentionProducts, type AttentionShape, lanesProducts } from './attention_lanes.ts';
import scoresWgsl from './attention_scores.wgsl?raw';
import softmaxWgsl from './attention_softmax.wgsl?raw';
import softmaxBackwardWgsl from './attention_softmax_backward.wgsl?raw';
import valuesWgsl from './attention_values.wgsl?raw';
import { rowDispatch } from './row_lanes.ts';
import rowReduceWgsl from './row_reduce.wgsl?raw';

/*
 * Causal grouped-query attention with the probabilities kept (Vaswani et al. 2017; Ainslie et al. 2023). Query i sees key
 * j when j ≤ i and both belong to the same segment. Per head h with key/value head g = h / (heads / kvHeads):
 *   S = q kᵀ / √headDim,  P = softmax(S),  out = P v
 *   dP = dout vᵀ,  dS = P ∘ (dP − rowsum(P ∘ dP)) / √headDim
 *   dq = dS k,  dk = Σ_{h of g} dSᵀ q,  dv = Σ_{h of g} Pᵀ dout
 */
const SHAPE = { batch: 'u32', seq: 'u32', heads: 'u32', kv_heads: 'u32', head_dim: 'u32' } as const;

export const attentionScores = defineKernel({
  name: 'attention_scores',
  wgsl: scoresWgsl,
  params: { ...SHAPE, scale: 'f32' },
  buffers: { a: 'read', b: 'read', scores: 'write' },
});

export const attentionSoftmax = defineKernel({
  name: 'attention_softmax',
  wgsl: softmaxWgsl + rowReduceWgsl,
  params: { rows: 'u32', seq: 'u32', heads: 'u32' },
  buffers: { probs: 'write', segments: 'read' },
});

export const attentionSoftmaxGradient = defineKernel({
  name: 'attention_softmax_backward',
  wgsl: softmaxBackwardWgsl + rowReduceWgsl,
  params: { rows: 'u32', seq: 'u32', scale: 'f32' },
  buffers: { probs: 'read', dprobs: 'write' },
});

/** Weighted sum over keys: P v and dS k. */
export const attentionValues = defineKernel({
  name: 'attention_values',
  wgsl: valuesWgsl,
  params: SHAPE,
  buffers: { weights: 'read', values: 'read', out: 'write' },
});

/** Weighted sum over queries and the heads of a group: Pᵀ dout and dSᵀ q. */
export const attentionKeys = defineKernel({
  name: 'attention_keys',
  wgsl: keysWgsl,
  params: SHAPE,
  buffers: { weights: 'read', x: 'read', out: 'write' },
});

export type { AttentionShape };

export interface AttentionProbabilities extends AttentionShape {
  /** (batch·seq, heads·headDim), after rope. */
  readonly q: BufferView;
  /** (batch·seq, kvHeads·headDim), after rope. */
  readonly k: BufferView;
  /** u32 (batch·seq): tokens attend only within an equal segment. */
  readonly segments: BufferView;
  /** (batch·heads, seq, seq), as the backward pass wants them; entries with key > query are undefined. */
  readonly probs: BufferView;
}

/** probs = softmax(mask(q kᵀ / √headDim)): the forward pass, or the same bits again before the backward pass. */
export function attentionProbabilities(b: ProgramBuilder, options: AttentionProbabilities): void {
  const { q, k, segments, probs } = options;
  const { rows, scale } = derive(options);
  const softmax = rowDispatch(b.gpu, rows);
  products(b, options).scores({ a: q, b: k, scores: probs }, scale);
  const softmaxParams = { rows, seq: options.seq, heads: options.heads };
  b.dispatch(attentionSoftmax, { probs, segments }, softmaxParams, softmax.grid, softmax.overrides);
}

export interface AttentionForward extends AttentionProbabilities {
  /** (batch·seq, kvHeads·headDim) */
  readonly v: BufferView;
  /** (batch·seq, heads·headDim) */
  readonly out: BufferView;
}

/** out = softmax(mask(q kᵀ / √headDim)) v */
export function attentionForward(b: ProgramBuilder, options: AttentionForward): void {
  attentionProbabilities(b, options);
  const { v, probs, out } = options;
  products(b, options).values({ weights: probs, values: v, out });
}

export interface AttentionBackward extends AttentionShape {
  readonly q: BufferView;
  readonly k: BufferView;
  readonly v: BufferView;
  readonly segments: BufferView;
  /** From the forward pass. */
  readonly probs: BufferView;
  /** (batch·seq, heads·headDim) */
  readonly dout: BufferView;
  /** Scratch, (batch·heads, seq, seq). */
  readonly dprobs: BufferView;
  /** (batch·seq, heads·headDim) */
  readonly dq: BufferView;
  /** (batch·seq, kvHeads·headDim) */
  readonly dk: BufferView;
  /** (batch·seq, kvHeads·headDim) */
  readonly dv: BufferView;
}

/** Overwrites dq, dk and dv with the gradients of `attentionForward`. */
export function attentionBackward(b: ProgramBuilder, options: AttentionBackward): void {
  const { q, k, v, probs, dout, dprobs, dq, dk, dv } = options;
  const { rows, scale } = derive(options);
  const softmax = rowDispatch(b.gpu, rows);
  const product = products(b, options);
  product.scores({ a: dout, b: v, scores: dprobs }, 1);
  product.keys({ weights: probs, x: dout, out: dv });
  const softmaxParams = { rows, seq: options.seq, scale };
  b.dispatch(attentionSoftmaxGradient, { probs, dprobs }, softmaxParams, softmax.grid, softmax.overrides);
  product.values({ weights: dprobs, values: k, out: dq });
  product.keys({ weights: dprobs, x: q, out: dk });
}

/** The products as this adapter computes them fastest. */
function products(b: ProgramBuilder, options: AttentionShape): AttentionProducts {
  const { shape, work } = derive(options);
  const outputs = (heads: number) => outputGrid(options, heads);
  return (
    lanesProducts(b, options, work) ?? {
      scores: (buffers, scale) =>
        b.dispatch(attentionScores, buffers, { ...shape, scale }, scoreGrid(options), {}, work),
      values: (buffers) => b.dispatch(attentionValues, buffers, shape, outputs(options.heads), {}, work),
      keys: (buffers) => b.dispatch(attentionKeys, buffers, shape, outputs(options.kvHeads), {}, work),
    }
  );
}

function derive({ batch, seq, heads, kvHeads, headDim }: AttentionShape) {
  return {
    shape: { batch, seq, heads, kv_heads: kvHeads, head_dim: headDim },
    rows: batch * heads * seq,
    scale: 1 / Math.sqrt(headDim),
    work: { flops: batch * heads * headDim * seq * (seq + 1) }, // of one product over the causal half of the square
  };
}

function scoreGrid({ batch, seq, heads }: AttentionShape) {
  return gridFor(batch * heads * Math.ceil(seq / 4) ** 2, 64);
}

function outputGrid({ batch, seq, headDim }: AttentionShape, heads: number) {
  return gridFor(batch * heads * Math.ceil(seq / 4) * Math.ceil(headDim / 4), 64);
}
