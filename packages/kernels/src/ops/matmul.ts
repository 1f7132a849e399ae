// Linear layer with frozen weights, Y = X·Wᵀ, and its input gradient dX = dY·W. With int8 weights W[n, k] = s[n]·q[n, k]:
//   y[m, n]  = s[n] · Σ_k x[m, k] · q[n, k]
//   dx[m, k] = Σ_n dy[m, n] · s[n] · q[n, k]
// The scale never enters the inner product of the forward pass. dW is never computed: the weights are frozen (LoRA).
import type { BufferView } from '../gpu/buffers.ts';
import type { AdapterKind } from '../gpu/device.ts';
import { GpuError } from '../gpu/error.ts';
import type { Grid, ProgramBuilder } from '../gpu/program.ts';
import backwardTile from './matmul_backward_tile.wgsl?raw';
import forwardSkinny from './matmul_forward_skinny.wgsl?raw';
import forwardTile from './matmul_forward_tile.wgsl?raw';
import type { Constants } from './matmul_unroll.ts';
import { defineWeightKernels, dispatchWithWeights } from './matmul_weights.ts';
import workgroupTile from './matmul_workgroup.wgsl?raw';
import workgroupBackward from './matmul_workgroup_backward.wgsl?raw';
import workgroupForward from './matmul_workgroup_forward.wgsl?raw';
import type { Matrix } from './matrix.ts';

/**
 * tile: a register tile straight from storage, for adapters whose workgroup memory is plain memory (software).
 * workgroup: a 64×64 tile through workgroup memory, for hardware.
 * skinny: threads share the inner product, for a handful of rows on hardware.
 */
export type MatmulForwardVariant = 'tile' | 'workgroup' | 'skinny';
export type MatmulBackwardVariant = 'tile' | 'workgroup';

interface Tiling {
  readonly kernels: ReturnType<typeof defineForward>;
  /** Rows and columns of the output (elements) that one workgroup makes. */
  readonly rows: number;
  readonly columns: number;
}
const defineForward = (name: string, wgsl: string, constants: Constants, entry = name) =>
  defineWeightKernels({
    name,
    entry,
    wgsl,
    constants,
    params: { rows: 'u32', input_quads: 'u32', outputs: 'u32' },
    input: 'x',
    output: 'y',
  });
const defineBackward = (name: string, wgsl: string, constants: Constants, entry = name) =>
  defineWeightKernels({
    name,
    entry,
    wgsl,
    constants,
    params: { rows: 'u32', input_quads: 'u32', outputs: 'u32', accumulate: 'u32' },
    input: 'dy',
    output: 'dx',
  });

// Tiles are the fastest of those tried at 256×1024×1024 and 512×128×344 on each adapter; lanes are the adapter's SIMD
// width, so that nothing idles when a matrix is small.
const forwardTileOf = (lanes: number, rows: number, columns: number): Tiling => ({
  kernels: defineForward('matmul_forward_tile', forwardTile, { LANES: lanes, TILE_ROWS: rows, TILE_COLUMNS: columns }),
  rows,
  columns: columns * lanes,
});
const llvmpipeForward = forwardTileOf(8, 4, 8);
const FORWARD_TILE: Record<AdapterKind, Tiling> = {
  llvmpipe: llvmpipeForward,
  swiftshader: forwardTileOf(4, 16, 16),
  hardware: llvmpipeForward,
};
const FORWARD_ONE_ROW: Record<AdapterKind, Tiling> = {
  llvmpipe: forwardTileOf(8, 1, 4),
  swiftshader: forwardTileOf(4, 1, 4),
  hardware: llvmpipeForward,
};

const backwardTileOf = (lanes: number, rows: number, quads: number, depth: number) => ({
  kernels: defineBackward('matmul_backward_tile', backwardTile, {
    LANES: lanes,
    TILE_ROWS: rows,
    TILE_QUADS: quads,
    DEPTH: depth,
  }),
  rows,
  columns: quads * 4 * lanes,
});
const llvmpipeBackward = backwardTileOf(8, 4, 2, 2);
const BACKWARD_TILE: Record<AdapterKind, ReturnType<typeof backwardTileOf>> = {
  llvmpipe: llvmpipeBackward,
  swiftshader: backwardTileOf(4, 16, 2, 4),
  hardware: llvmpipeBackward,
};

const FORWARD_WORKGROUP: Tiling = {
  kernels: defineForward('matmul_workgroup_forward', workgroupTile + workgroupForward, { TILE: 4 }, 'matmul_workgroup'),
  rows: 64,
  columns: 64,
};
const BACKWARD_WORKGROUP = {
  kernels: defineBackward(
    'matmul_workgroup_backward',
    workgroupTile + workgroupBackward,
    { TILE: 4 },
    'matmul_workgroup',
  ),
  rows: 64,
  columns: 64,
};

const SKINNY_ROWS = 4;
const FORWARD_SKINNY: Tiling = {
  kernels: defineForward('matmul_forward_skinny', forwardSkinny, {
    LANES: 16,
    TILE_ROWS: SKINNY_ROWS,
    TILE_COLUMNS: 8,
  }),
  rows: SKINNY_ROWS,
  columns: 8,
};

export interface MatmulForward {
  /** (rows, inputs) */
  readonly x: BufferView;
  /** (outputs, inputs); inputs a multiple of 4. */
  readonly w: Matrix;
  /** (rows, outputs), overwritten. */
  readonly y: BufferView;
  readonly rows: number;
  /** By default the one that suits the adapter and the rows. */
  readonly variant?: MatmulForwardVariant | undefined;
}

/** Records y = x·Wᵀ. Throws GpuError 'validation' when W's columns are not a multiple of 4. */
export function matmulForward(b: ProgramBuilder, { x, w, y, rows, variant }: MatmulForward): void {
  const tiling = forwardTiling(b.gpu.adapter.kind, rows, variant);
  const params = { rows, input_quads: inputQuads(w), outputs: w.rows };
  dispatchWithWeights(b, tiling.kernels, w, { x, y }, params, tileGrid(w.rows, rows, tiling));
}

function forwardTiling(kind: AdapterKind, rows: number, variant: MatmulForwardVariant | undefined): Tiling {
  const software = kind !== 'hardware';
  const chosen = variant ?? (software ? 'tile' : rows <= SKINNY_ROWS ? 'skinny' : 'workgroup');
  switch (chosen) {
    case 'tile':
      return (rows === 1 ? FORWARD_ONE_ROW : FORWARD_TILE)[kind];
    case 'workgroup':
      return FORWARD_WORKGROUP;
    case 'skinny':
      return FORWARD_SKINNY;
    default:
      return chosen satisfies never;
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
  /** By default the one that suits the adapter. */
  readonly variant?: MatmulBackwardVariant | undefined;
}

/** Records dx (+)= dy·W. Throws GpuError 'validation' when W's columns are not a multiple of 4. */
export function matmulBackward(b: ProgramBuilder, { dy, w, dx, rows, accumulate, variant }: MatmulBackward): void {
  const { kind } = b.gpu.adapter;
  const chosen = variant ?? (kind === 'hardware' ? 'workgroup' : 'tile');
  const tiling = chosen === 'workgroup' ? BACKWARD_WORKGROUP : BACKWARD_TILE[kind];
  const params = { rows, input_quads: inputQuads(w), outputs: w.rows, accumulate: accumulate ? 1 : 0 };
  dispatchWithWeights(b, tiling.kernels, w, { dy, dx }, params, tileGrid(w.cols, rows, tiling));
}

function tileGrid(columns: number, rows: number, tile: { readonly columns: number; readonly rows: number }): Grid {
  return [Math.ceil(columns / tile.columns), Math.ceil(rows / tile.rows), 1];
}

function inputQuads(w: Matrix): number {
  if (w.cols % 4 !== 0) {
    throw new GpuError('validation', `matmul: got a matrix of ${w.rows}×${w.cols}, expected columns in multiples of 4`);
  }
  return w.cols / 4;
}
