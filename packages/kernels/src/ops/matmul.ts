// Linear layer with frozen weights, Y = X·Wᵀ, and its input gradient dX = dY·W. With int8 weights W[n, k] = s[n]·q[n, k]:
//   y[m, n]  = s[n] · Σ_k x[m, k] · q[n, k]
//   dx[m, k] = Σ_n dy[m, n] · s[n] · q[n, k]
// The scale never enters the inner product of the forward pass. dW is never computed: the weights are frozen (LoRA).
import type { BufferView } from '../gpu/buffers.ts';
import { GpuError } from '../gpu/error.ts';
import { rowPieces } from '../gpu/pace.ts';
import type { Grid, ProgramBuilder } from '../gpu/program.ts';
import { chosenVariant } from './matmul_choice.ts';
import {
  BACKWARD_DEFAULTS,
  BACKWARD_VARIANTS,
  defaultVariant,
  FORWARD_DEFAULTS,
  FORWARD_VARIANTS,
  type MatmulBackwardVariant,
  type MatmulForwardVariant,
  type MatmulVariant,
  type Tile,
} from './matmul_variants.ts';
import { dispatchWithWeights, loadsWords } from './matmul_weights.ts';
import type { Matrix } from './matrix.ts';
import { rowsOf } from './matrix_rows.ts';

export type { MatmulBackwardVariant, MatmulForwardVariant } from './matmul_variants.ts';

export interface MatmulForward {
  /** (rows, inputs) */
  readonly x: BufferView;
  /** (outputs, inputs); inputs a multiple of 4. */
  readonly w: Matrix;
  /** (rows, outputs), overwritten. */
  readonly y: BufferView;
  readonly rows: number;
  /** By default the one tuned for the shape, else the one that suits the adapter and the rows. */
  readonly variant?: MatmulForwardVariant | undefined;
}

/** Records y = x·Wᵀ. Throws GpuError 'validation' when W's columns are not a multiple of 4. */
export function matmulForward(b: ProgramBuilder, { x, w, y, rows, variant }: MatmulForward): void {
  const input_quads = inputQuads(w);
  const name =
    variant ??
    chosenVariant(b.gpu, 'forward', w, rows) ??
    defaultVariant(b.gpu, FORWARD_DEFAULTS, FORWARD_VARIANTS, rows);
  const tiling = FORWARD_VARIANTS[name];
  for (const { start, count } of rowPieces(b.gpu, rows, flopsOf(w))) {
    const tensors = { x: rowsOf(x, start, count, w.cols), y: rowsOf(y, start, count, w.rows) };
    const params = { rows: count, input_quads, outputs: w.rows };
    const work = { flops: count * flopsOf(w) };
    dispatchWithWeights(b, tiling.kernels, w, tensors, params, tileGrid(w.rows, count, tileFor(tiling, w)), work);
  }
}

export interface MatmulBackward {
  /** (rows, outputs) */
  readonly dy: BufferView;
  /** (outputs, inputs); inputs a multiple of 4. */
  readonly w: Matrix;
  /** (rows, inputs) */
  readonly dx: BufferView;
  readonly rows: number;
  /** Adds to dx instead of overwriting it. */
  readonly accumulate: boolean;
  /** By default the one tuned for the shape, else the one that suits the adapter and the rows. */
  readonly variant?: MatmulBackwardVariant | undefined;
}

/** Records dx (+)= dy·W. Throws GpuError 'validation' when W's columns are not a multiple of 4. */
export function matmulBackward(b: ProgramBuilder, { dy, w, dx, rows, accumulate, variant }: MatmulBackward): void {
  const input_quads = inputQuads(w);
  const name =
    variant ??
    chosenVariant(b.gpu, 'backward', w, rows) ??
    defaultVariant(b.gpu, BACKWARD_DEFAULTS, BACKWARD_VARIANTS, rows);
  const tiling = BACKWARD_VARIANTS[name];
  for (const { start, count } of rowPieces(b.gpu, rows, flopsOf(w))) {
    const tensors = { dy: rowsOf(dy, start, count, w.rows), dx: rowsOf(dx, start, count, w.cols) };
    const params = { rows: count, input_quads, outputs: w.rows, accumulate: accumulate ? 1 : 0 };
    const work = { flops: count * flopsOf(w) };
    dispatchWithWeights(b, tiling.kernels, w, tensors, params, tileGrid(w.cols, count, tileFor(tiling, w)), work);
  }
}

function tileFor(variant: MatmulVariant<{ readonly int8Words?: unknown }>, w: Matrix): Tile {
  return variant.words && loadsWords(variant.kernels, w) ? variant.words : variant;
}

function tileGrid(columns: number, rows: number, tile: Tile): Grid {
  return [Math.ceil(columns / tile.columns), Math.ceil(rows / tile.rows), 1];
}

/** Of one row, forward or backward. */
function flopsOf(w: Matrix): number {
  return 2 * w.rows * w.cols;
}

function inputQuads(w: Matrix): number {
  if (w.cols % 4 !== 0) {
    throw new GpuError('validation', `matmul: got a matrix of ${w.rows}×${w.cols}, expected columns in multiples of 4`);
  }
  return w.cols / 4;
}
