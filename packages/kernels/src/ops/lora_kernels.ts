import type { AdapterKind, Gpu } from '../gpu/device.ts';
import { defineKernel, type Kernel } from '../gpu/kernel.ts';
import dropoutPart from './dropout.wgsl?raw';
import downSource from './lora_down.wgsl?raw';
import outerSource from './lora_outer.wgsl?raw';
import quadsDown from './lora_quads_down.wgsl?raw';
import quadsDropped from './lora_quads_dropped.wgsl?raw';
import quadsOuter from './lora_quads_outer.wgsl?raw';
import quadsUp from './lora_quads_up.wgsl?raw';
import sumsDirect from './lora_sums_direct.wgsl?raw';
import sumsSplit from './lora_sums_split.wgsl?raw';
import upSource from './lora_up.wgsl?raw';
import { subgroupsOf } from './matmul_lanes.ts';
import lanesBroadcast from './matmul_lanes_broadcast.wgsl?raw';
import lanesSwap from './matmul_lanes_swap.wgsl?raw';
import { inRegisters } from './matmul_registers.ts';
import { type Constants, specialise } from './matmul_unroll.ts';

/**
 * quads: a workgroup is one subgroup of a software adapter, whose lanes share loads, as in the lanes matmul; inputs and outputs
 * in multiples of 4.
 * lanes: every thread makes whole sums, for the other shapes on software adapters.
 * workgroup: threads of a workgroup share a sum, so that a hardware GPU has enough of them and reads side by side.
 */
export type LoraVariant = 'quads' | 'lanes' | 'workgroup';

const shared = { scale: 'f32', salt: 'u32', threshold: 'u32', inverse_keep: 'f32' } as const;

const downKernel = (wgsl: string) =>
  defineKernel({
    name: 'lora_down',
    wgsl,
    params: {
      ...({ rows: 'u32', inputs: 'u32', rank: 'u32', offset: 'u32', input_stride: 'u32', rank_stride: 'u32' } as const),
      ...shared,
    },
    buffers: { x: 'read', adapter: 'read', z: 'write', step: 'read' },
  });

const upKernel = (wgsl: string) =>
  defineKernel({
    name: 'lora_up',
    wgsl,
    params: {
      ...({
        rows: 'u32',
        outputs: 'u32',
        rank: 'u32',
        offset: 'u32',
        output_stride: 'u32',
        rank_stride: 'u32',
      } as const),
      ...shared,
    },
    buffers: { z: 'read', adapter: 'read', y: 'write', step: 'read' },
  });

const outerKernel = (wgsl: string) =>
  defineKernel({
    name: 'lora_outer',
    wgsl,
    params: {
      ...({
        rows: 'u32',
        columns: 'u32',
        rank: 'u32',
        offset: 'u32',
        column_stride: 'u32',
        rank_stride: 'u32',
      } as const),
      ...shared,
    },
    buffers: { wide: 'read', narrow: 'read', grad: 'write', step: 'read' },
  });

/** What a workgroup of `down` or `outer`, and of `up`, makes of the result (elements). */
export interface LoraKernels {
  readonly down: { readonly kernel: ReturnType<typeof downKernel>; readonly rows: number; readonly ranks: number };
  readonly up: { readonly kernel: ReturnType<typeof upKernel>; readonly rows: number; readonly columns: number };
  readonly outer: { readonly kernel: ReturnType<typeof outerKernel>; readonly columns: number; readonly ranks: number };
}

interface Split {
  readonly lanes: number;
  /** Threads that share a sum. */
  readonly split: number;
}

/** Ranks that a thread sums at once in `down` and `outer`. */
const RANKS = 8;

/** `rows` rows × RANKS ranks a thread. */
function defineDown({ lanes, split }: Split, rows: number): LoraKernels['down'] {
  const constants = { LANES: lanes, SPLIT: split, ROWS: rows, RANKS, SUMS: rows * RANKS };
  const source = downSource + dropoutPart + (split > 1 ? sumsSplit : sumsDirect);
  return { kernel: downKernel(specialise(source, constants)), rows: rows * lanes, ranks: RANKS };
}

/** `columns` columns × RANKS ranks a thread. */
function defineOuter({ lanes, split }: Split, columns: number): LoraKernels['outer'] {
  const constants = { LANES: lanes, SPLIT: split, COLUMNS: columns, RANKS, SUMS: columns * RANKS };
  const source = outerSource + dropoutPart + (split > 1 ? sumsSplit : sumsDirect);
  return { kernel: outerKernel(specialise(source, constants)), columns: columns * lanes, ranks: RANKS };
}

/** `rows` rows × `columns` columns a thread. */
function defineUp(lanes: number, rows: number, columns: number): LoraKernels['up'] {
  const constants = { LANES: lanes, ROWS: rows, COLUMNS: columns, SUMS: rows * columns };
  return { kernel: upKernel(specialise(upSource + dropoutPart, constants)), rows, columns: columns * lanes };
}

interface QuadTiles {
  /** Rows × groups of ranks, as many as there are lanes, that a lane sums. */
  readonly down: { readonly rows: number; readonly groups: number };
  /** Rows (a multiple of the lanes) × quads of columns that a lane sums. */
  readonly up: { readonly rows: number; readonly quads: number };
  /** Groups of ranks × quads of columns that a lane sums. */
  readonly outer: { readonly groups: number; readonly quads: number };
}

function defineQuads(lanes: number, exchange: string, { down, up, outer }: QuadTiles): LoraKernels {
  const written = (source: string, tile: Constants): string => {
    const constants = { LANES: lanes, QUAD: 4, ...tile };
    return inRegisters(specialise(source + dropoutPart + quadsDropped + exchange, constants), constants);
  };
  return {
    down: {
      kernel: subgrouped(downKernel(written(quadsDown, { ROWS: down.rows, RANK_GROUPS: down.groups }))),
      rows: down.rows * lanes,
      ranks: down.groups * lanes,
    },
    up: {
      kernel: subgrouped(
        upKernel(written(quadsUp, { TILE_ROWS: up.rows, ROW_GROUPS: up.rows / lanes, TILE_QUADS: up.quads })),
      ),
      rows: up.rows,
      columns: up.quads * 4 * lanes,
    },
    outer: {
      kernel: subgrouped(
        outerKernel(
          written(quadsOuter, {
            RANK_GROUPS: outer.groups,
            TILE_RANKS: outer.groups * lanes,
            TILE_QUADS: outer.quads,
          }),
        ),
      ),
      columns: outer.quads * 4 * lanes,
      ranks: outer.groups * lanes,
    },
  };
}

const subgrouped = <K extends Pick<Kernel, 'features'>>(kernel: K): K => ({ ...kernel, features: ['subgroups'] });

// Lanes are the adapter's SIMD width; tiles are the fastest of those tried at 512 rows, rank 8, 344 wide.
const LLVMPIPE: LoraKernels = {
  down: defineDown({ lanes: 8, split: 1 }, 4),
  up: defineUp(8, 4, 4),
  outer: defineOuter({ lanes: 8, split: 1 }, 4),
};
const SWIFTSHADER: LoraKernels = {
  down: defineDown({ lanes: 4, split: 1 }, 4),
  up: defineUp(4, 8, 4),
  outer: defineOuter({ lanes: 4, split: 1 }, 4),
};
const WORKGROUP: LoraKernels = {
  down: defineDown({ lanes: 1, split: 64 }, 4),
  up: defineUp(64, 8, 1),
  outer: defineOuter({ lanes: 32, split: 8 }, 1),
};
// More ranks at once in `down` are faster from 16 on, and compute as many for nothing at rank 8.
const LLVMPIPE_QUADS = defineQuads(8, lanesBroadcast, {
  down: { rows: 4, groups: 1 },
  up: { rows: 16, quads: 1 },
  outer: { groups: 1, quads: 1 },
});
const SWIFTSHADER_QUADS = defineQuads(4, lanesSwap, {
  down: { rows: 8, groups: 2 },
  up: { rows: 16, quads: 1 },
  outer: { groups: 4, quads: 1 },
});
/** Lanes that the quads kernels are written for. */
const QUADS_LANES = { hardware: 0, llvmpipe: 8, swiftshader: 4 } as const satisfies Record<AdapterKind, number>;

export interface LoraNeeds {
  readonly inputs: number;
  readonly outputs: number;
  /** By default the one that suits the adapter; 'quads' gives way to 'lanes' where it cannot be used. */
  readonly variant?: LoraVariant | undefined;
}

/** The three LoRA kernels for an adapter of the model on a device. */
export function loraKernels(gpu: Gpu, { inputs, outputs, variant }: LoraNeeds): LoraKernels {
  const { kind } = gpu.adapter;
  if ((variant ?? (kind === 'hardware' ? 'workgroup' : 'quads')) === 'workgroup') return WORKGROUP;
  const inQuads = inputs % 4 === 0 && outputs % 4 === 0 && subgroupsOf(QUADS_LANES[kind])(gpu);
  if (variant !== 'lanes' && inQuads) return kind === 'swiftshader' ? SWIFTSHADER_QUADS : LLVMPIPE_QUADS;
  return kind === 'swiftshader' ? SWIFTSHADER : LLVMPIPE;
}
