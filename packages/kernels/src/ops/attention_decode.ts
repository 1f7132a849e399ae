import type { BufferView } from '../gpu/buffers.ts';
import { defineKernel } from '../gpu/kernel.ts';
import { gridFor, type ProgramBuilder } from '../gpu/program.ts';
import cacheWriteWgsl from './cache_write.wgsl?raw';
import scoresWgsl from './decode_scores.wgsl?raw';
import softmaxWgsl from './decode_softmax.wgsl?raw';
import valuesWgsl from './decode_values.wgsl?raw';
import rowReduceWgsl from './row_reduce.wgsl?raw';

/*
 * Attention of one new token over cached keys and values: out = softmax(q Kᵀ / √headDim) V over the first `length` rows.
 * The length lives in a buffer, so one recorded program serves every position.
 */
const SHAPE = { max_seq: 'u32', heads: 'u32', kv_heads: 'u32', head_dim: 'u32' } as const;

export const decodeScores = defineKernel({
  name: 'decode_scores',
  wgsl: scoresWgsl,
  params: { ...SHAPE, scale: 'f32' },
  buffers: { q: 'read', k_cache: 'read', length: 'read', scores: 'write' },
});

export const decodeSoftmax = defineKernel({
  name: 'decode_softmax',
  wgsl: softmaxWgsl + rowReduceWgsl,
  params: { max_seq: 'u32' },
  buffers: { length: 'read', scores: 'write' },
});

export const decodeValues = defineKernel({
  name: 'decode_values',
  wgsl: valuesWgsl,
  params: SHAPE,
  buffers: { probs: 'read', v_cache: 'read', length: 'read', out: 'write' },
});

export const cacheWriteKernel = defineKernel({
  name: 'cache_write',
  wgsl: cacheWriteWgsl,
  params: { width: 'u32', max_seq: 'u32' },
  buffers: { kv: 'read', cache: 'write', length: 'read' },
});

export interface AttentionDecode {
  /** (1, heads·headDim), after rope. */
  readonly q: BufferView;
  /** (maxSeq, kvHeads·headDim), keys after rope. */
  readonly kCache: BufferView;
  /** (maxSeq, kvHeads·headDim) */
  readonly vCache: BufferView;
  /** u32 (1): valid rows of the caches, the new token's included; 1…maxSeq. */
  readonly length: BufferView;
  /** Scratch, (heads, maxSeq). */
  readonly scores: BufferView;
  /** (1, heads·headDim) */
  readonly out: BufferView;
  readonly maxSeq: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

/** out = attention of one token over the first `length` cached positions. */
export function attentionDecode(b: ProgramBuilder, options: AttentionDecode): void {
  const { q, kCache, vCache, length, scores, out, maxSeq, heads, kvHeads, headDim } = options;
  const shape = { max_seq: maxSeq, heads, kv_heads: kvHeads, head_dim: headDim };
  const scale = 1 / Math.sqrt(headDim);
  b.dispatch(decodeScores, { q, k_cache: kCache, length, scores }, { ...shape, scale }, gridFor(heads * maxSeq, 64));
  b.dispatch(decodeSoftmax, { length, scores }, { max_seq: maxSeq }, [heads, 1, 1], { LANES: 64 });
  b.dispatch(decodeValues, { probs: scores, v_cache: vCache, length, out }, shape, gridFor(heads * headDim, 64));
}

export interface CacheWrite {
  /** (1, width): a key or value row. */
  readonly kv: BufferView;
  /** (maxSeq, width) */
  readonly cache: BufferView;
  /** u32 (1): the row goes to length − 1; nothing is written when that is outside the cache. */
  readonly length: BufferView;
  readonly width: number;
  readonly maxSeq: number;
}

/** cache[length − 1] = kv */
export function cacheWrite(b: ProgramBuilder, { kv, cache, length, width, maxSeq }: CacheWrite): void {
  b.dispatch(cacheWriteKernel, { kv, cache, length }, { width, max_seq: maxSeq }, gridFor(width, 64));
}
