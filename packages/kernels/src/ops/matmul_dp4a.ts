// Forward pass of a frozen int8 linear on activations of 8 or 16 bits (quantize_activations.ts), four products an instruction:
//   y[m, n] = w_scale[n] · (x_scale[m] · Σ_k xq[m, k] · wq[n, k] + Σ_c x[m, c] · wq[n, c])
// The first sum runs over all inputs in exact i32, with 16 bits as 256 · Σ high · wq + Σ low · wq, joined in f32 by one
// multiply-add; c runs over the outlier columns, which are zero in xq, in f32.
// (LLM.int8, Dettmers et al. 2022, arXiv 2208.07339, eq. 8.) Backward has no counterpart: gradients stay f32 (matmul.ts).
import type { BufferView } from '../gpu/buffers.ts';
import type { AdapterKind } from '../gpu/device.ts';
import { GpuError } from '../gpu/error.ts';
import { defineKernel } from '../gpu/kernel.ts';
import { rowPieces } from '../gpu/pace.ts';
import type { ProgramBuilder } from '../gpu/program.ts';
import partsWgsl from './matmul_dp4a.wgsl?raw';
import packedWgsl from './matmul_dp4a_packed.wgsl?raw';
import tileWgsl from './matmul_dp4a_tile.wgsl?raw';
import unpackedWgsl from './matmul_dp4a_unpacked.wgsl?raw';
import workgroupWgsl from './matmul_dp4a_workgroup.wgsl?raw';
import { type Constants, specialise } from './matmul_unroll.ts';
import type { Matrix } from './matrix.ts';
import { rowsOf } from './matrix_rows.ts';
import { type ActivationPlanes, MAX_OUTLIER_COLUMNS, type QuantizedRows } from './quantize_activations.ts';

/**
 * tile: a register tile straight from storage, for adapters whose workgroup memory is plain memory (software).
 * workgroup64, workgroup128: a tile of that side through workgroup memory, for hardware.
 */
export type MatmulDp4aVariant = 'tile' | 'workgroup64' | 'workgroup128';

/** A kernel for each number of planes: the same sums, in tiles of `rows` / planes rows of y. */
interface Tiling {
  readonly kernels: Readonly<Record<ActivationPlanes, ReturnType<typeof define>>>;
  /** Rows of sums (one a plane) and columns of y that one workgroup makes. */
  readonly rows: number;
  readonly columns: number;
}

interface Source {
  readonly name: string;
  readonly wgsl: string;
  readonly constants: Constants;
  /** Rows of sums of a thread, a multiple of the planes. */
  readonly tileRows: number;
}

const define = ({ name, wgsl, constants, tileRows }: Source, planes: ActivationPlanes) =>
  defineKernel({
    name,
    wgsl: specialise(partsWgsl + wgsl, { ...constants, PLANES: planes, OUTPUT_ROWS: tileRows / planes }),
    params: { rows: 'u32', input_quads: 'u32', outputs: 'u32', limit: 'u32' },
    buffers: {
      xq: 'read',
      x_scale: 'read',
      outliers: 'read',
      outlier_x: 'read',
      y: 'write',
      wq: 'read',
      w_scale: 'read',
    },
  });

const kernelsOf = (source: Source) => ({ 1: define(source, 1), 2: define(source, 2) }) as const;

const tileOf = (product: string, lanes: number, rows: number, columns: number): Tiling => ({
  kernels: kernelsOf({
    name: 'matmul_dp4a_tile',
    wgsl: product + tileWgsl,
    constants: { LANES: lanes, TILE_ROWS: rows, TILE_COLUMNS: columns },
    tileRows: rows,
  }),
  rows,
  columns: columns * lanes,
});
// The fastest of six tiles on llvmpipe, of four on SwiftShader, with either product, at 256×1024×1024: 14.8 GFLOP/s on
// llvmpipe, 2.7 on SwiftShader, where dot4I8Packed reaches 1.5. Neither has the instruction: f32 is faster on both.
const llvmpipeTile = tileOf(packedWgsl, 8, 4, 8);
const TILE: Record<AdapterKind, Tiling> = {
  llvmpipe: llvmpipeTile,
  swiftshader: tileOf(unpackedWgsl, 4, 16, 16),
  hardware: llvmpipeTile,
};

const workgroupOf = (tile: number, depth: number): Tiling => ({
  kernels: kernelsOf({
    name: 'matmul_dp4a_workgroup',
    wgsl: workgroupWgsl,
    constants: { TILE: tile, DEPTH: depth },
    tileRows: tile,
  }),
  rows: 16 * tile,
  columns: 16 * tile,
});
const WORKGROUP_64 = workgroupOf(4, 16);
const WORKGROUP_128 = workgroupOf(8, 8);

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
  const tiling = tilingFor(b.gpu.adapter.kind, rows * planes, w.rows, variant);
  const limit = MAX_OUTLIER_COLUMNS;
  const quads = w.cols / 4;
  const rowFlops = 2 * planes * w.rows * w.cols;
  for (const { start, count } of rowPieces(b.gpu, rows, rowFlops)) {
    b.dispatch(
      tiling.kernels[planes],
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

function tilingFor(
  kind: AdapterKind,
  sumRows: number,
  outputs: number,
  variant: MatmulDp4aVariant | undefined,
): Tiling {
  const large = sumRows >= 256 && outputs >= 1024; // enough tiles of 128 to fill a GPU
  const chosen = variant ?? (kind !== 'hardware' ? 'tile' : large ? 'workgroup128' : 'workgroup64');
  switch (chosen) {
    case 'tile':
      return TILE[kind];
    case 'workgroup64':
      return WORKGROUP_64;
    case 'workgroup128':
      return WORKGROUP_128;
    default:
      return chosen satisfies never;
  }
}
