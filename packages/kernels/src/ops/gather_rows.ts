import type { BufferView } from '../gpu/buffers.ts';
import { defineKernel } from '../gpu/kernel.ts';
import { gridFor, type ProgramBuilder } from '../gpu/program.ts';
import gatherWgsl from './gather_rows.wgsl?raw';
import scatterWgsl from './scatter_rows.wgsl?raw';

/*
 * Picks the rows that carry a label before the head, so that prompt and padding tokens never meet the vocabulary:
 *   y[i] = x[index[i]],  dx[index[i]] = dy[i]
 */
export const gather = defineKernel({
  name: 'gather_rows',
  wgsl: gatherWgsl,
  params: { count: 'u32', dim: 'u32' },
  buffers: { x: 'read', index: 'read', y: 'write' },
});

export const scatter = defineKernel({
  name: 'scatter_rows',
  wgsl: scatterWgsl,
  params: { count: 'u32', dim: 'u32' },
  buffers: { dy: 'read', index: 'read', dx: 'write' },
});

/** An index that stands for no row: gathering gives zeros, scattering writes nothing. */
export const NO_ROW = 0xffffffff;

export interface GatherRows {
  /** (rows, dim) */
  readonly x: BufferView;
  /** u32 (count), rows of x or NO_ROW. */
  readonly index: BufferView;
  /** (count, dim) */
  readonly y: BufferView;
  readonly count: number;
  readonly dim: number;
}

/** y[i] = x[index[i]]; zeros for NO_ROW. */
export function gatherRows(b: ProgramBuilder, { x, index, y, count, dim }: GatherRows): void {
  b.dispatch(gather, { x, index, y }, { count, dim }, gridFor(count * dim, 64));
}

export interface ScatterRows {
  /** (count, dim) */
  readonly dy: BufferView;
  /** u32 (count), each row of dx at most once, or NO_ROW. */
  readonly index: BufferView;
  /** (rows, dim); rows that no index names are left as they are, so clear it first. */
  readonly dx: BufferView;
  readonly count: number;
  readonly dim: number;
}

/** dx[index[i]] = dy[i]; nothing for NO_ROW. */
export function scatterRows(b: ProgramBuilder, { dy, index, dx, count, dim }: ScatterRows): void {
  b.dispatch(scatter, { dy, index, dx }, { count, dim }, gridFor(count * dim, 64));
}
