import type { BufferView } from '../gpu/buffers.ts';
import type { ProgramBuilder } from '../gpu/program.ts';
import forwardWgsl from './rmsnorm.wgsl?raw';
import backwardWgsl from './rmsnorm_backward.wgsl?raw';
import { rowDispatch } from './row_lanes.ts';
import rowReduceWgsl from './row_reduce.wgsl?raw';
import { defineValueKernels, widest } from './value_kernels.ts';

/*
 * Root-mean-square normalisation (Zhang and Sennrich 2019), per row of `dim` values:
 *   r = 1 / √(mean(x²) + ε),  y = x · r · w
 *   dx = r · (w · dy) − x · r³ · mean(x · w · dy)
 * The weight w is frozen, so it has no gradient; r is recomputed in the backward pass.
 */
export const rmsnorm = defineValueKernels({
  name: 'rmsnorm',
  wgsl: forwardWgsl + rowReduceWgsl,
  params: { rows: 'u32', values: 'u32', dim: 'u32', eps: 'f32' },
  buffers: { x: 'read', weight: 'read', y: 'write' },
});

export const rmsnormGradient = defineValueKernels({
  name: 'rmsnorm_backward',
  wgsl: backwardWgsl + rowReduceWgsl,
  params: { rows: 'u32', values: 'u32', dim: 'u32', eps: 'f32', accumulate: 'u32' },
  buffers: { x: 'read', weight: 'read', dy: 'read', dx: 'write' },
});

export interface RmsnormForward {
  /** (rows, dim) */
  readonly x: BufferView;
  /** (dim) */
  readonly weight: BufferView;
  /** (rows, dim) */
  readonly y: BufferView;
  readonly rows: number;
  readonly dim: number;
  readonly eps: number;
}

/** y = rmsnorm(x) · weight, row by row. */
export function rmsnormForward(b: ProgramBuilder, { x, weight, y, rows, dim, eps }: RmsnormForward): void {
  const { grid, overrides } = rowDispatch(b.gpu, rows);
  const { kernel, values } = widest(rmsnorm, dim);
  b.dispatch(kernel, { x, weight, y }, { rows, values, dim, eps }, grid, overrides);
}

export interface RmsnormBackward {
  /** Input of the forward pass (rows, dim). */
  readonly x: BufferView;
  readonly weight: BufferView;
  /** (rows, dim) */
  readonly dy: BufferView;
  /** (rows, dim) */
  readonly dx: BufferView;
  readonly rows: number;
  readonly dim: number;
  readonly eps: number;
  /** Add to dx (the residual's gradient) instead of overwriting it. */
  readonly accumulate: boolean;
}

/** dx (+)= ∂loss/∂x of `rmsnormForward`. */
export function rmsnormBackward(b: ProgramBuilder, options: RmsnormBackward): void {
  const { x, weight, dy, dx, rows, dim, eps } = options;
  const { grid, overrides } = rowDispatch(b.gpu, rows);
  const { kernel, values } = widest(rmsnormGradient, dim);
  const params = { rows, values, dim, eps, accumulate: options.accumulate ? 1 : 0 };
  b.dispatch(kernel, { x, weight, dy, dx }, params, grid, overrides);
}
