import type { BufferView } from '../gpu/buffers.ts';
import { defineKernel } from '../gpu/kernel.ts';
import { gridFor, type ProgramBuilder } from '../gpu/program.ts';
import sumPartialsWgsl from './sum_partials.wgsl?raw';
import sumSquaresWgsl from './sum_squares.wgsl?raw';

/* Σ x² in two stages without atomics, so that the same gradient always gives the same bits: thread sums, then one workgroup. */
export const squares = defineKernel({
  name: 'sum_squares',
  wgsl: sumSquaresWgsl,
  params: { length: 'u32', threads: 'u32' },
  buffers: { x: 'read', partials: 'write' },
});

export const partialSums = defineKernel({
  name: 'sum_partials',
  wgsl: sumPartialsWgsl,
  params: { count: 'u32' },
  buffers: { partials: 'read', total: 'write' },
});

/** Elements that the `partials` scratch of `sumSquares` needs: a thread per 64 values, at most 16384. */
export function sumSquaresPartials(length: number): number {
  return Math.min(16384, Math.max(1, Math.ceil(length / 64)));
}

export interface SumSquares {
  readonly x: BufferView;
  /** Scratch of sumSquaresPartials(length) elements. */
  readonly partials: BufferView;
  /** (1) */
  readonly total: BufferView;
  /** Elements of x. */
  readonly length: number;
}

/** total[0] = Σ x², the square of the gradient norm. */
export function sumSquares(b: ProgramBuilder, { x, partials, total, length }: SumSquares): void {
  const threads = sumSquaresPartials(length);
  b.dispatch(squares, { x, partials }, { length, threads }, gridFor(threads, 64));
  b.dispatch(partialSums, { partials, total }, { count: threads }, [1, 1, 1]);
}
