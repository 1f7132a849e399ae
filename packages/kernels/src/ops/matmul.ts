// Linear layer with frozen weights, Y = X·Wᵀ, and its input gradient dX = dY·W. With int8 weights W[n, k] = s[n]·q[n, k]:
//   y[m, n]  = s[n] · Σ_k x[m, k] · q[n, k]
//   dx[m, k] = Σ_n dy[m, n] · s[n] · q[n, k]
// The scale never enters the inner product of the forward pass. dW is never computed: the weights are frozen (LoRA).
import type { BufferView } from '../gpu/buffers.ts';
import { GpuError } from '../gpu/error.ts';
import type { ProgramBuilder } from '../gpu/program.ts';
import backwardTile from './matmul_backward_tile.wgsl?raw';
import forwardTile from './matmul_forward_tile.wgsl?raw';
import { defineWeightKernels, dispatchWithWeights } from './matmul_weights.ts';
import type { Matrix } from './matrix.ts';

/** Neighbouring threads that share their rows. */
const LANES = 8;

const FORWARD_TILE = { rows: 4, columns: 8 };
const forwardTileKernels = defineWeightKernels({
  name: 'matmul_forward_tile',
  wgsl: forwardTile,
  constants: { LANES, TILE_ROWS: FORWARD_TILE.rows, TILE_COLUMNS: FORWARD_TILE.columns },
  params: { rows: 'u32' },
  input: 'x',
  output: 'y',
});

const BACKWARD_TILE = { rows: 8 };
const backwardTileKernels = defineWeightKernels({
  name: 'matmul_backward_tile',
  wgsl: backwardTile,
  constants: { LANES, TILE_ROWS: BACKWARD_TILE.rows },
  params: { rows: 'u32', accumulate: 'u32' },
  input: 'dy',
  output: 'dx',
});

export interface MatmulForward {
  /** (rows, inputs) */
  readonly x: BufferView;
  /** (outputs, inputs); inputs a multiple of 4. */
  readonly w: Matrix;
  /** (rows, outputs), overwritten. */
  readonly y: BufferView;
  readonly rows: number;
}

/** Records y = x·Wᵀ. Throws GpuError 'validation' when W's columns are not a multiple of 4. */
export function matmulForward(b: ProgramBuilder, { x, w, y, rows }: MatmulForward): void {
  const overrides = { INPUT_QUADS: inputQuads(w), OUTPUTS: w.rows };
  const { rows: tileRows, columns } = FORWARD_TILE;
  const grid = [Math.ceil(w.rows / (LANES * columns)), Math.ceil(rows / tileRows), 1] as const;
  dispatchWithWeights(b, forwardTileKernels, w, { x, y }, { rows }, grid, overrides);
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
}

/** Records dx (+)= dy·W. Throws GpuError 'validation' when W's columns are not a multiple of 4. */
export function matmulBackward(b: ProgramBuilder, { dy, w, dx, rows, accumulate }: MatmulBackward): void {
  const overrides = { INPUT_QUADS: inputQuads(w), OUTPUTS: w.rows };
  const grid = [Math.ceil(w.cols / 4 / LANES), Math.ceil(rows / BACKWARD_TILE.rows), 1] as const;
  const params = { rows, accumulate: accumulate ? 1 : 0 };
  dispatchWithWeights(b, backwardTileKernels, w, { dy, dx }, params, grid, overrides);
}

function inputQuads(w: Matrix): number {
  if (w.cols % 4 !== 0) {
    throw new GpuError('validation', `matmul: got a matrix of ${w.rows}×${w.cols}, expected columns in multiples of 4`);
  }
  return w.cols / 4;
}
