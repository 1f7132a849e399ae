import type { AdapterKind, Gpu } from '../gpu/device.ts';
import backwardTile from './matmul_backward_tile.wgsl?raw';
import chunksInt8 from './matmul_chunks_int8.wgsl?raw';
import forwardSkinny from './matmul_forward_skinny.wgsl?raw';
import forwardTile from './matmul_forward_tile.wgsl?raw';
import { lanesBackwardOf, lanesForwardOf } from './matmul_lanes.ts';
import lanesBroadcast from './matmul_lanes_broadcast.wgsl?raw';
import lanesByColumns from './matmul_lanes_by_columns.wgsl?raw';
import lanesByRows from './matmul_lanes_by_rows.wgsl?raw';
import lanesSwap from './matmul_lanes_swap.wgsl?raw';
import type { Constants } from './matmul_unroll.ts';
import { type Backward, backwardOp, type Forward, forwardOp, type MatmulVariant } from './matmul_variant.ts';
import { defineChunkKernels, defineWeightKernels } from './matmul_weights.ts';
import workgroup64 from './matmul_workgroup.wgsl?raw';
import workgroup64Backward from './matmul_workgroup_backward.wgsl?raw';
import workgroup64Forward from './matmul_workgroup_forward.wgsl?raw';
import workgroup128 from './matmul_workgroup128.wgsl?raw';
import workgroup128Backward from './matmul_workgroup128_backward.wgsl?raw';
import workgroup128Forward from './matmul_workgroup128_forward.wgsl?raw';

export type { MatmulVariant, Tile } from './matmul_variant.ts';

const always = (): boolean => true;

/** Tiles straight from storage are made for one width of SIMD. */
const softwareOf =
  (lanes: number) =>
  (gpu: Gpu): boolean =>
    gpu.adapter.kind === (lanes === 8 ? 'llvmpipe' : 'swiftshader');

function tileForward(lanes: number, rows: number, columns: number): Forward {
  const constants = { LANES: lanes, TILE_ROWS: rows, TILE_COLUMNS: columns };
  const kernels = defineWeightKernels({ name: 'matmul_forward_tile', wgsl: forwardTile, constants, ...forwardOp });
  return { kernels, rows, columns: columns * lanes, made: 'software', supports: softwareOf(lanes) };
}

function tileBackward(lanes: number, rows: number, quads: number, depth: number): Backward {
  const constants = { LANES: lanes, TILE_ROWS: rows, TILE_QUADS: quads, DEPTH: depth };
  const kernels = defineWeightKernels({ name: 'matmul_backward_tile', wgsl: backwardTile, constants, ...backwardOp });
  return { kernels, rows, columns: quads * 4 * lanes, made: 'software', supports: softwareOf(lanes) };
}

const workgroup64Of = (name: string, part: string) =>
  ({ name, entry: 'matmul_workgroup', wgsl: workgroup64 + part, constants: { TILE: 4 } }) as const;
const workgroup128Of = (name: string, part: string) =>
  ({
    name,
    entry: 'matmul_workgroup128',
    wgsl: workgroup128 + part,
    int8: chunksInt8,
    constants: { TILE: 8, HALVES: 2, LOADS: 2, QUAD: 4 },
    ofChunk: (chunkQuads: number): Constants => ({ CHUNK_LOADS: chunkQuads === 1 ? 2 : 1 }),
  }) as const;
const workgroup = (side: number) => ({ rows: side, columns: side, made: 'hardware', supports: always }) as const;

/**
 * tile: a register tile straight from storage.
 * lanes: the same, with loads shared by the lanes of a subgroup.
 * workgroup: a square tile through workgroup memory.
 * skinny: threads share the inner product, for a handful of rows.
 * Numbers are the lanes that a variant is made for, or its tile.
 */
export const FORWARD_VARIANTS = {
  tile8: tileForward(8, 4, 8),
  tile4: tileForward(4, 16, 16),
  row8: { ...tileForward(8, 1, 4), maxRows: 4 },
  row4: { ...tileForward(4, 1, 4), maxRows: 4 },
  lanes8: lanesForwardOf(8, {
    single: { rows: 24, columns: 4, depth: 1 },
    words: { rows: 8, columns: 4, depth: 1 },
    turn: lanesByRows,
    exchange: lanesBroadcast,
  }),
  lanes4: lanesForwardOf(4, {
    single: { rows: 16, columns: 16, depth: 2 },
    words: { rows: 16, columns: 16, depth: 1 },
    turn: lanesByColumns,
    exchange: lanesSwap,
    registers: true,
  }),
  workgroup64: {
    kernels: defineWeightKernels({
      ...workgroup64Of('matmul_workgroup_forward', workgroup64Forward),
      ...forwardOp,
    }),
    ...workgroup(64),
  },
  workgroup128: {
    kernels: defineChunkKernels({
      ...workgroup128Of('matmul_workgroup128_forward', workgroup128Forward),
      ...forwardOp,
    }),
    ...workgroup(128),
  },
  skinny: {
    kernels: defineWeightKernels({
      name: 'matmul_forward_skinny',
      wgsl: forwardSkinny,
      constants: { LANES: 16, TILE_ROWS: 4, TILE_COLUMNS: 8 },
      ...forwardOp,
    }),
    rows: 4,
    columns: 8,
    made: 'hardware',
    maxRows: 16,
    supports: always,
  },
} as const satisfies Record<string, Forward>;

export const BACKWARD_VARIANTS = {
  tile8: tileBackward(8, 4, 2, 2),
  tile4: tileBackward(4, 16, 2, 4),
  lanes8: lanesBackwardOf(8, {
    single: { rows: 16, quads: 2, turn: 1 },
    words: { rows: 8, quads: 4, turn: 1 },
    exchange: lanesBroadcast,
  }),
  lanes4: lanesBackwardOf(4, {
    single: { rows: 32, quads: 2, turn: 2 },
    words: { rows: 16, quads: 4, turn: 2 },
    exchange: lanesSwap,
  }),
  workgroup64: {
    kernels: defineWeightKernels({
      ...workgroup64Of('matmul_workgroup_backward', workgroup64Backward),
      ...backwardOp,
    }),
    ...workgroup(64),
  },
  workgroup128: {
    kernels: defineChunkKernels({
      ...workgroup128Of('matmul_workgroup128_backward', workgroup128Backward),
      ...backwardOp,
    }),
    ...workgroup(128),
  },
} as const satisfies Record<string, Backward>;

export type MatmulForwardVariant = keyof typeof FORWARD_VARIANTS;
export type MatmulBackwardVariant = keyof typeof BACKWARD_VARIANTS;

type Preference<Name> = readonly (readonly [upToRows: number, name: Name])[];
const ANY = Number.POSITIVE_INFINITY;

/** The first whose rows suffice and that the device supports. On software this is the truth, on hardware the start. */
export const FORWARD_DEFAULTS: Record<AdapterKind, Preference<MatmulForwardVariant>> = {
  llvmpipe: [
    [1, 'row8'],
    [4, 'tile8'],
    [ANY, 'lanes8'],
    [ANY, 'tile8'],
  ],
  swiftshader: [
    [1, 'row4'],
    [ANY, 'lanes4'],
    [ANY, 'tile4'],
  ],
  hardware: [
    [4, 'skinny'],
    [ANY, 'workgroup64'],
  ],
};

export const BACKWARD_DEFAULTS: Record<AdapterKind, Preference<MatmulBackwardVariant>> = {
  llvmpipe: [
    [4, 'tile8'],
    [ANY, 'lanes8'],
    [ANY, 'tile8'],
  ],
  swiftshader: [
    [ANY, 'lanes4'],
    [ANY, 'tile4'],
  ],
  hardware: [[ANY, 'workgroup64']],
};

/** The fixed choice for an adapter; the last of a list is supported by every adapter of its kind. */
export function defaultVariant<Name extends string>(
  gpu: Gpu,
  defaults: Record<AdapterKind, Preference<Name>>,
  variants: Record<Name, Pick<MatmulVariant<unknown>, 'supports'>>,
  rows: number,
): Name {
  const list = defaults[gpu.adapter.kind];
  const found = list.find(([upToRows, name]) => rows <= upToRows && variants[name].supports(gpu)) ?? list.at(-1);
  if (!found) throw new RangeError(`no matmul variant for a ${gpu.adapter.kind} adapter`);
  return found[1];
}
