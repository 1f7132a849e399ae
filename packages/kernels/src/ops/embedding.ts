// Token embedding: x[m, :] = W[ids[m], :]. The table is frozen, so there is no backward.
import type { BufferView } from '../gpu/buffers.ts';
import { GpuError } from '../gpu/error.ts';
import { gridFor, type ProgramBuilder } from '../gpu/program.ts';
import source from './embedding.wgsl?raw';
import { defineWeightKernels, dispatchWithWeights } from './matmul_weights.ts';
import type { Matrix } from './matrix.ts';

const kernels = defineWeightKernels({
  name: 'embedding',
  wgsl: source,
  params: { quads: 'u32', input_quads: 'u32', vocabulary: 'u32' },
  input: 'ids',
  output: 'x',
});

export interface EmbeddingForward {
  /** u32 (rows); an id outside the vocabulary gives a row of zeros. */
  readonly ids: BufferView;
  /** (vocabulary, dim); dim a multiple of 4. */
  readonly w: Matrix;
  /** (rows, dim), overwritten. */
  readonly x: BufferView;
  readonly rows: number;
}

/** Records x = W[ids]. Throws GpuError 'validation' when W's columns are not a multiple of 4. */
export function embeddingForward(b: ProgramBuilder, { ids, w, x, rows }: EmbeddingForward): void {
  if (w.cols % 4 !== 0) {
    throw new GpuError(
      'validation',
      `embedding: got a matrix of ${w.rows}×${w.cols}, expected columns in multiples of 4`,
    );
  }
  const quads = (rows * w.cols) / 4;
  const params = { quads, input_quads: w.cols / 4, vocabulary: w.rows };
  dispatchWithWeights(b, kernels, w, { ids, x }, params, gridFor(quads, 64));
}
