// Forward pass of a frozen int8 linear on activations of 8 or 16 bits (quantize_activations.ts), four products an instruction:
//   y[m, n] = w_scale[n] · (x_scale[m] · Σ_k xq[m, k] · wq[n, k] + Σ_c x[m, c] · wq[n, c])
// The first sum runs over all inputs in exact i32, with 16 bits as 256 · Σ high · wq + Σ low · wq, joined in f32 by one
// multiply-add; c runs over the outlier columns, which are zero in xq, in f32.
// (LLM.int8, Dettmers et al. 2022, arXiv 2208.07339, eq. 8.) Backward has no counterpart: gradients stay f32 (matmul.ts).
import type { BufferView } from '../gpu/buffers.ts';
import type { Gpu } from '../gpu/device.ts';
import { GpuError } from '../gpu/error.ts';
import { rowPieces } from '../gpu/pace.ts';
import type { ProgramBuilder } from '../gpu/program.ts';
import { lanesFor, TILE, type Tiling, WORKGROUP_64, WORKGROUP_128 } from './matmul_dp4a_kernels.ts';
import type { Matrix } from './matrix.ts';
import { rowsOf } from './matrix_rows.ts';
import { MAX_OUTLIER_COLUMNS, type QuantizedRows } from './quantize_activations.ts';

/**
 * lanes: a register tile in exact f32, with loads shared by the lanes of a subgroup, for adapters that emulate
 * `dot4I8Packed` (software); where the device has no subgroups of the right size, the same as tile.
 * tile: a register tile of `dot4I8Packed` straight from storage.
 * workgroup64, workgroup128: a tile of that side through workgroup memory, for hardware.
 */
export type MatmulDp4aVariant = 'lanes' | 'tile' | 'workgroup64' | 'workgroup128';

export interface MatmulForwardDp4a {
  /** x (rows, inputs) as `quantizeActivations` left it. */
  readonly x: QuantizedRows;
  /** (outputs, inputs) int8; inputs a multiple of 4. */
  readonly w: Matrix;
  /** (rows, outputs), overwritten. */
  readonly y: BufferView;
  readonly rows: number;
  /** By default the one that suits the adapter and the shape. */
  readonly variant?: MatmulDp4aVariant | undefined;
}

/**
 * Records y = x·Wᵀ from quantised activations and int8 weights. Throws GpuError 'validation' when W is not int8 or its columns
 * are no multiple of 4.
 */
export function matmulForwardDp4a(b: ProgramBuilder, { x, w, y, rows, variant }: MatmulForwardDp4a): void {
  if (w.dtype !== 'int8' || w.cols % 4 !== 0) {
    throw new GpuError(
      'validation',
      `matmul dp4a: got ${w.dtype} weights of ${w.rows}×${w.cols}, expected int8 and columns in multiples of 4`,
    );
  }
  const { planes } = x;
  const tiling = tilingFor(b.gpu, { sumRows: rows * planes, outputs: w.rows, inputs: w.cols }, variant);
  const limit = MAX_OUTLIER_COLUMNS;
  const quads = w.cols / 4;
  const rowFlops = 2 * planes * w.rows * w.cols;
  for (const { start, count } of rowPieces(b.gpu, rows, rowFlops)) {
    b.dispatch(
      tiling.kernel(planes),
      {
        xq: rowsOf(x.q, start, count, planes * quads),
        x_scale: rowsOf(x.scale, start, count, 1),
        outliers: x.outliers,
        outlier_x: rowsOf(x.outlierX, start, count, limit),
        y: rowsOf(y, start, count, w.rows),
        wq: w.q,
        w_scale: w.scale,
      },
      { rows: count, input_quads: quads, outputs: w.rows, limit },
      [Math.ceil(w.rows / tiling.columns), Math.ceil((count * planes) / tiling.rows), 1],
      {},
      { flops: count * rowFlops },
    );
  }
}

interface ProductSize {
  /** Rows of x times their planes. */
  readonly sumRows: number;
  readonly outputs: number;
  readonly inputs: number;
}

function tilingFor(gpu: Gpu, size: ProductSize, variant: MatmulDp4aVariant | undefined): Tiling {
  const large = size.sumRows >= 256 && size.outputs >= 1024; // enough tiles of 128 to fill a GPU
  const chosen = variant ?? (gpu.adapter.kind !== 'hardware' ? 'lanes' : large ? 'workgroup128' : 'workgroup64');
  switch (chosen) {
    case 'lanes':
      return lanesFor(gpu, size.inputs);
    case 'tile':
      return TILE;
    case 'workgroup64':
      return WORKGROUP_64;
    case 'workgroup128':
      return WORKGROUP_128;
    default:
      return chosen satisfies never;
  }
}
