import type { Gpu } from '../gpu/device.ts';
import { defineKernel } from '../gpu/kernel.ts';
import chunkWord from './matmul_chunk_word.wgsl?raw';
import chunkWords from './matmul_chunk_words.wgsl?raw';
import partsWgsl from './matmul_dp4a.wgsl?raw';
import lanesWgsl from './matmul_dp4a_lanes.wgsl?raw';
import packedWgsl from './matmul_dp4a_packed.wgsl?raw';
import tileWgsl from './matmul_dp4a_tile.wgsl?raw';
import workgroupWgsl from './matmul_dp4a_workgroup.wgsl?raw';
import { inRegisters } from './matmul_registers.ts';
import { type Constants, specialise } from './matmul_unroll.ts';
import type { ActivationPlanes } from './quantize_activations.ts';

interface Source {
  readonly name: string;
  readonly entry: string;
  readonly wgsl: string;
  readonly constants: Constants;
  /** Words that a load brings: 4 for inputs in multiples of 16. */
  readonly chunkQuads?: 1 | 4;
  /** Rows of sums of a thread, a multiple of the planes. */
  readonly tileRows: number;
  readonly features?: readonly GPUFeatureName[];
  /** Whether the elements of arrays become variables; see `inRegisters`. */
  readonly registers?: boolean;
}

function define(source: Source, planes: ActivationPlanes) {
  const { name, entry, wgsl, chunkQuads = 1, tileRows, features = [], registers = false } = source;
  const ofPlanes = { PLANES: planes, OUTPUT_ROWS: tileRows / planes, CHUNK_QUADS: chunkQuads };
  const constants = { ...source.constants, ...ofPlanes };
  const written = specialise(wgsl + partsWgsl + (chunkQuads === 1 ? chunkWord : chunkWords), constants);
  return defineKernel({
    name,
    entry,
    wgsl: registers ? inRegisters(written, constants) : written,
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
    features,
  });
}

/** A kernel for each number of planes: the same sums, in tiles of `rows` / planes rows of y. */
export interface Tiling {
  kernel(planes: ActivationPlanes): ReturnType<typeof define>;
  /** Rows of sums (one a plane) and columns of y that one workgroup makes. */
  readonly rows: number;
  readonly columns: number;
}

/** Kernels are written out when they are first used. */
function tilingOf(rows: number, columns: number, source: Source): Tiling {
  const made: Partial<Record<ActivationPlanes, ReturnType<typeof define>>> = {};
  return {
    kernel(planes) {
      made[planes] ??= define(source, planes);
      return made[planes];
    },
    rows,
    columns,
  };
}

const tileSource = (sums: string, lane: string): string =>
  tileWgsl.replace(/^ *\/\/ sums:.*\n/m, sums).replace('LANE)', `${lane})`);

export const TILE = tilingOf(4, 64, {
  name: 'matmul_dp4a_tile',
  entry: 'matmul_dp4a_tile',
  wgsl: tileSource(packedWgsl, 'local_invocation_index'),
  constants: { LANES: 8, TILE_ROWS: 4, TILE_COLUMNS: 8 },
  tileRows: 4,
});

/** The lanes variants need a workgroup to be exactly one subgroup. */
interface Lanes {
  readonly lanes: number;
  readonly word: Tiling;
  readonly words: Tiling;
}

function lanesOf(lanes: number, rows: number, columns: number): Lanes {
  const tiling = (chunkQuads: 1 | 4): Tiling =>
    tilingOf(rows, columns * lanes, {
      name: 'matmul_dp4a_lanes',
      entry: 'matmul_dp4a_tile',
      wgsl: `enable subgroups;\n${tileSource(lanesWgsl, 'subgroup_invocation_id')}`,
      constants: {
        ...{ LANES: lanes, ROW_GROUPS: rows / lanes, TILE_ROWS: rows, TILE_COLUMNS: columns },
        ...{ TILE_SUMS: rows * columns, BLOCK: EXACT_INPUTS / 4 / chunkQuads },
      },
      chunkQuads,
      tileRows: rows,
      features: ['subgroups'],
      registers: true,
    });
  return { lanes, word: tiling(1), words: tiling(4) };
}
/** Products of int8 whose sum is exact in f32: 128 · 127 · 1024 < 2²⁴. */
const EXACT_INPUTS = 1024;
/** Where a load of 16 weights pays: at 512×128→344 it was slower on llvmpipe and no faster on SwiftShader. */
const WORDS_FROM_INPUTS = 512;
// Chosen by races against TILE and between tiles (docs/experiments.md).
const LANES: readonly Lanes[] = [lanesOf(8, 16, 4), lanesOf(4, 16, 8)];

const workgroupOf = (tile: number, depth: number): Tiling =>
  tilingOf(16 * tile, 16 * tile, {
    name: 'matmul_dp4a_workgroup',
    entry: 'matmul_dp4a_workgroup',
    wgsl: workgroupWgsl,
    constants: { TILE: tile, DEPTH: depth },
    tileRows: tile,
  });
export const WORKGROUP_64 = workgroupOf(4, 16);
export const WORKGROUP_128 = workgroupOf(8, 8);

/** The lanes variant that the device can run for so many inputs, or the plain tile. */
export function lanesFor({ device }: Gpu, inputs: number): Tiling {
  const { subgroupMinSize, subgroupMaxSize } = device.adapterInfo;
  const found = LANES.find(({ lanes }) => subgroupMinSize === lanes && subgroupMaxSize === lanes);
  if (!found || !device.features.has('subgroups')) return TILE;
  return inputs % 16 === 0 && inputs >= WORDS_FROM_INPUTS ? found.words : found.word;
}
