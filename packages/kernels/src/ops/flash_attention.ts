import type { BufferView } from '../gpu/buffers.ts';
import type { Gpu } from '../gpu/device.ts';
import { GpuError } from '../gpu/error.ts';
import { rowPieces } from '../gpu/pace.ts';
import { type DispatchWork, type Grid, gridFor, type ProgramBuilder } from '../gpu/program.ts';
import type { AttentionShape } from './attention.ts';
import { flashStats, lanesKernels } from './flash_attention_kernels.ts';
import { workgroupKernels } from './flash_attention_workgroup.ts';
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
  const { q, k, v, segments, out, lse, heads } = options;
  const headDim = checkedHeadDim(options);
  const buffers = { q, k, v, segments, out, lse };
  const params = shapeOf(options);
  const lanes = lanesKernels(b.gpu, headDim);
  if (lanes) {
    const { block, vector, forward } = lanes;
    eachPiece(b, options, { heads, block, products: 2 }, (first, grid, work) =>
      b.dispatch(forward, buffers, { ...params, pieces: headDim / vector, first }, grid, {}, work),
    );
  } else {
    const { block, forward } = workgroupKernels(headDim);
    eachPiece(b, options, { heads, block, products: 2 }, (first, grid, work) =>
      b.dispatch(forward, buffers, { ...params, first }, grid, {}, work),
    );
  }
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
  const { q, k, v, segments, out, lse, dout, delta: stats, dq, dk, dv, heads, kvHeads } = options;
  const headDim = checkedHeadDim(options);
  const rows = options.batch * options.seq * heads;
  if (stats.size < 8 * rows) {
    throw new GpuError('validation', `flash attention: delta has ${stats.size} bytes, expected ${8 * rows}`);
  }
  const perRow = rowDispatch(b.gpu, rows);
  b.dispatch(flashStats, { lse, out, dout, stats }, { rows, dim: headDim }, perRow.grid, perRow.overrides);
  const inputs = { q, k, v, segments, dout, stats };
  const params = shapeOf(options);
  const forQueries = { heads, products: 3 };
  const forKeys = { heads: kvHeads, products: (4 * heads) / kvHeads };
  const lanes = lanesKernels(b.gpu, headDim);
  if (lanes) {
    const { block, vector, queries, keys } = lanes;
    const pieces = headDim / vector;
    eachPiece(b, options, { ...forQueries, block }, (first, grid, work) =>
      b.dispatch(queries, { ...inputs, dq }, { ...params, pieces, first }, grid, {}, work),
    );
    eachPiece(b, options, { ...forKeys, block }, (first, grid, work) =>
      b.dispatch(keys, { ...inputs, dk, dv }, { ...params, pieces, first }, grid, {}, work),
    );
  } else {
    const { block, queries, keys } = workgroupKernels(headDim);
    eachPiece(b, options, { ...forQueries, block }, (first, grid, work) =>
      b.dispatch(queries, { ...inputs, dq }, { ...params, first }, grid, {}, work),
    );
    eachPiece(b, options, { ...forKeys, block }, (first, grid, work) =>
      b.dispatch(keys, { ...inputs, dk, dv }, { ...params, first }, grid, {}, work),
    );
  }
}

/** Rows from which hardware gains by not writing and reading the probabilities. */
export const FLASH_ROW_TOKENS = 256;

/**
 * Whether flash is the better choice on this adapter for this shape: always where one row's probabilities would not fit a
 * binding, on hardware from 256 tokens a row on, on software adapters wherever lanes share their loads.
 */
export function preferFlash(gpu: Pick<Gpu, 'adapter' | 'device'>, { seq, heads, headDim }: AttentionShape): boolean {
  if (headDim % 2 !== 0 || headDim > FLASH_HEAD_DIM) return false;
  const { kind, limits } = gpu.adapter;
  const fits = 4 * heads * seq * seq <= Math.min(limits.maxBufferSize, limits.maxStorageBufferBindingSize);
  if (!fits) return true;
  return kind === 'hardware' ? seq >= FLASH_ROW_TOKENS : lanesKernels(gpu, headDim) !== undefined;
}

interface Blocks {
  /** Heads whose rows are made: the queries' or the keys'. */
  readonly heads: number;
  /** Rows of one workgroup, a divisor of 64. */
  readonly block: number;
  /** Matrix products over half a square that are done for one such head. */
  readonly products: number;
}

/** Cuts the blocks of every sequence and head into dispatches; `first` is a piece's first block. */
function eachPiece(
  b: ProgramBuilder,
  { batch, seq, headDim }: AttentionShape,
  { heads, block, products }: Blocks,
  dispatch: (first: number, grid: Grid, work: DispatchWork) => void,
): void {
  const rows = batch * heads * Math.ceil(seq / block) * block; // no block straddles two heads
  const flopsPerRow = products * headDim * (seq + 1);
  for (const { start, count } of rowPieces(b.gpu, rows, flopsPerRow)) {
    dispatch(start / block, gridFor(count, block), { flops: count * flopsPerRow });
  }
}

function shapeOf({ batch, seq, heads, kvHeads, headDim }: AttentionShape) {
  return { batch, seq, heads, kv_heads: kvHeads, scale: 1 / Math.sqrt(headDim) };
}

function checkedHeadDim({ headDim }: AttentionShape): number {
  if (headDim % 2 === 0 && headDim <= FLASH_HEAD_DIM) return headDim;
  throw new GpuError(
    'validation',
    `flash attention: got heads of ${headDim}, expected even ones up to ${FLASH_HEAD_DIM}`,
  );
}
