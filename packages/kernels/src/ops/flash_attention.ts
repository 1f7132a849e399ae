import type { BufferView } from '../gpu/buffers.ts';
import type { Gpu } from '../gpu/device.ts';
import { GpuError } from '../gpu/error.ts';
import { rowPieces } from '../gpu/pace.ts';
import { gridFor, type ProgramBuilder } from '../gpu/program.ts';
import type { AttentionShape } from './attention.ts';
import { directKernels, flashStats } from './flash_attention_kernels.ts';
import { rowDispatch } from './row_lanes.ts';

/*
 * The attention of attention.ts without its matrix of probabilities (Dao et al. 2022, Dao 2023). Forward, over blocks of
 * keys, with m the largest score so far and l the sum of exponents:
 *   m' = max(m, S),  p = exp(S − m'),  l ← l·exp(m − m') + Σ p,  out ← out·exp(m − m') + p v;  at the end out / l
 *   lse = m + log l
 * Backward, with P = exp(S − lse) and delta = rowsum(dout ∘ out):
 *   dS = P ∘ (dout vᵀ − delta) / √headDim,  dq = dS k,  dk = Σ_{h of g} dSᵀ q,  dv = Σ_{h of g} Pᵀ dout
 * dq and (dk, dv) are kernels of their own, which compute S again: WGSL has no atomic addition of floats.
 */

/** Heads beyond this would not fit the tiles in workgroup memory. */
export const FLASH_HEAD_DIM = 128;

export interface FlashForward extends AttentionShape {
  /** (batch·seq, heads·headDim), after rope. */
  readonly q: BufferView;
  /** (batch·seq, kvHeads·headDim), after rope. */
  readonly k: BufferView;
  /** (batch·seq, kvHeads·headDim) */
  readonly v: BufferView;
  /**
   * u32 (batch·seq): tokens attend only within an equal segment. Equal segments of a row must be contiguous: keys before
   * and after a segment are never visited.
   */
  readonly segments: BufferView;
  /** (batch·seq, heads·headDim) */
  readonly out: BufferView;
  /** (batch·seq, heads): log of the softmax's denominator, for the backward pass. */
  readonly lse: BufferView;
}

/** out = softmax(mask(q kᵀ / √headDim)) v. Throws GpuError 'validation' for a head that is odd or larger than 128. */
export function flashAttentionForward(b: ProgramBuilder, options: FlashForward): void {
  const { q, k, v, segments, out, lse } = options;
  const kernels = directKernels(b.gpu.adapter.kind, checkedHeadDim(options));
  const buffers = { q, k, v, segments, out, lse };
  eachPiece(b, options, options.heads, kernels.block, 2, (first, grid, work) =>
    b.dispatch(kernels.forward, buffers, { ...shapeOf(options, kernels.vector), first }, grid, {}, work),
  );
}

export interface FlashBackward extends FlashForward {
  /** (batch·seq, heads·headDim) */
  readonly dout: BufferView;
  /** Scratch, (batch·seq, heads, 2): lse and delta side by side, as one binding. */
  readonly delta: BufferView;
  /** (batch·seq, heads·headDim) */
  readonly dq: BufferView;
  /** (batch·seq, kvHeads·headDim) */
  readonly dk: BufferView;
  /** (batch·seq, kvHeads·headDim) */
  readonly dv: BufferView;
}

/** Overwrites dq, dk and dv with the gradients of `flashAttentionForward`, whose out and lse it reads. */
export function flashAttentionBackward(b: ProgramBuilder, options: FlashBackward): void {
  const { q, k, v, segments, out, lse, dout, delta: stats, dq, dk, dv, batch, seq, heads, kvHeads, headDim } = options;
  const kernels = directKernels(b.gpu.adapter.kind, checkedHeadDim(options));
  const rows = batch * seq * heads;
  if (stats.size < 8 * rows) {
    throw new GpuError('validation', `flash attention: delta has ${stats.size} bytes, expected ${8 * rows}`);
  }
  const lanes = rowDispatch(b.gpu, rows);
  b.dispatch(flashStats, { lse, out, dout, stats }, { rows, dim: headDim }, lanes.grid, lanes.overrides);
  const buffers = { q, k, v, segments, dout, stats };
  const params = shapeOf(options, kernels.vector);
  eachPiece(b, options, heads, kernels.block, 3, (first, grid, work) =>
    b.dispatch(kernels.queries, { ...buffers, dq }, { ...params, first }, grid, {}, work),
  );
  eachPiece(b, options, kvHeads, kernels.block, (4 * heads) / kvHeads, (first, grid, work) =>
    b.dispatch(kernels.keys, { ...buffers, dk, dv }, { ...params, first }, grid, {}, work),
  );
}

/** Rows from which hardware gains by not writing and reading the probabilities. */
const HARDWARE_SEQ = 256;

/**
 * Whether flash is the better choice on this adapter for this shape: always where one row's probabilities would not fit a
 * binding, on hardware from 256 tokens a row on.
 */
export function preferFlash(gpu: Pick<Gpu, 'adapter'>, { seq, heads, headDim }: AttentionShape): boolean {
  if (headDim % 2 !== 0 || headDim > FLASH_HEAD_DIM) return false;
  const { kind, limits } = gpu.adapter;
  const fits = 4 * heads * seq * seq <= Math.min(limits.maxBufferSize, limits.maxStorageBufferBindingSize);
  return !fits || (kind === 'hardware' && seq >= HARDWARE_SEQ);
}

/**
 * Cuts the blocks of `block` rows of every sequence and head into dispatches; `products` matrix products of half a
 * square each are done for them. `first` is the piece's first block.
 */
function eachPiece(
  b: ProgramBuilder,
  { batch, seq, headDim }: AttentionShape,
  heads: number,
  block: number,
  products: number,
  dispatch: (first: number, grid: ReturnType<typeof gridFor>, work: { readonly flops: number }) => void,
): void {
  const rows = batch * heads * Math.ceil(seq / block) * block; // blocks never straddle two heads
  const flopsPerRow = products * headDim * (seq + 1);
  for (const { start, count } of rowPieces(b.gpu, rows, flopsPerRow)) {
    dispatch(start / block, gridFor(count, block), { flops: count * flopsPerRow });
  }
}

function shapeOf({ batch, seq, heads, kvHeads, headDim }: AttentionShape, vector: number) {
  const pieces = headDim / vector;
  return { batch, seq, heads, kv_heads: kvHeads, pieces, scale: 1 / Math.sqrt(headDim) };
}

function checkedHeadDim({ headDim }: AttentionShape): number {
  if (headDim % 2 === 0 && headDim <= FLASH_HEAD_DIM) return headDim;
  throw new GpuError(
    'validation',
    `flash attention: got heads of ${headDim}, expected even ones up to ${FLASH_HEAD_DIM}`,
  );
}
