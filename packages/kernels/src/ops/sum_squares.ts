import type { BufferView } from '../gpu/buffers.ts';
import { defineKernel } from '../gpu/kernel.ts';
import { gridFor, type ProgramBuilder } from '../gpu/program.ts';
import sumPartialsWgsl from './sum_partials.wgsl?raw';
import sumSquaresWgsl from './sum_squares.wgsl?raw';

/*
 * Σ x² in two stages without atomics, so that the same gradient always gives the same bits: thread sums, then one workgroup.
 * Thread t of T sums elements t, t + T, … of the whole vector, over all of its pieces: how it is cut changes nothing.
 */
export const squares = defineKernel({
  name: 'sum_squares',
  wgsl: sumSquaresWgsl,
  params: { length: 'u32', threads: 'u32', shift: 'u32', carry: 'u32' },
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
  /** The vector, in pieces of `length` elements one behind the other. */
  readonly x: readonly { readonly view: BufferView; readonly length: number }[];
  /** Scratch of sumSquaresPartials(elements of all pieces) elements. */
  readonly partials: BufferView;
  /** (1) */
  readonly total: BufferView;
}

/** total[0] = Σ x², the square of the gradient norm. */
export function sumSquares(b: ProgramBuilder, { x, partials, total }: SumSquares): void {
  const threads = sumSquaresPartials(x.reduce((sum, { length }) => sum + length, 0));
  let start = 0;
  for (const { view, length } of x) {
    const shift = (threads - (start % threads)) % threads; // thread 0's first element in this piece
    const carry = start > 0 ? 1 : 0;
    b.dispatch(squares, { x: view, partials }, { length, threads, shift, carry }, gridFor(threads, 64));
    start += length;
  }
  b.dispatch(partialSums, { partials, total }, { count: threads }, [1, 1, 1]);
}
