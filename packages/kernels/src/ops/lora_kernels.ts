import type { AdapterKind } from '../gpu/device.ts';
import { defineKernel } from '../gpu/kernel.ts';
import dropoutPart from './dropout.wgsl?raw';
import downSource from './lora_down.wgsl?raw';
import outerSource from './lora_outer.wgsl?raw';
import sumsDirect from './lora_sums_direct.wgsl?raw';
import sumsSplit from './lora_sums_split.wgsl?raw';
import upSource from './lora_up.wgsl?raw';
import { specialise } from './matmul_unroll.ts';

/**
 * lanes: every thread makes whole sums, as software adapters like it.
 * workgroup: threads of a workgroup share a sum, so that a hardware GPU has enough of them and reads side by side.
 */
export type LoraVariant = 'lanes' | 'workgroup';

/** Ranks that a thread sums at once in `down` and `outer`. */
const RANKS = 8;

const sharedParams = { scale: 'f32', salt: 'u32', threshold: 'u32', inverse_keep: 'f32' } as const;

interface Split {
  readonly lanes: number;
  /** Threads that share a sum. */
  readonly split: number;
}

/** `rows` rows × RANKS ranks a thread. */
function defineDown({ lanes, split }: Split, rows: number) {
  const constants = { LANES: lanes, SPLIT: split, ROWS: rows, RANKS, SUMS: rows * RANKS };
  const kernel = defineKernel({
    name: 'lora_down',
    wgsl: specialise(downSource + dropoutPart + (split > 1 ? sumsSplit : sumsDirect), constants),
    params: {
      ...({ rows: 'u32', inputs: 'u32', rank: 'u32', offset: 'u32', input_stride: 'u32', rank_stride: 'u32' } as const),
      ...sharedParams,
    },
    buffers: { x: 'read', adapter: 'read', z: 'write', step: 'read' },
  });
  return { kernel, rows: rows * lanes, ranks: RANKS };
}

/** `columns` columns × RANKS ranks a thread. */
function defineOuter({ lanes, split }: Split, columns: number) {
  const constants = { LANES: lanes, SPLIT: split, COLUMNS: columns, RANKS, SUMS: columns * RANKS };
  const kernel = defineKernel({
    name: 'lora_outer',
    wgsl: specialise(outerSource + dropoutPart + (split > 1 ? sumsSplit : sumsDirect), constants),
    params: {
      ...({
        rows: 'u32',
        columns: 'u32',
        rank: 'u32',
        offset: 'u32',
        column_stride: 'u32',
        rank_stride: 'u32',
      } as const),
      ...sharedParams,
    },
    buffers: { wide: 'read', narrow: 'read', grad: 'write', step: 'read' },
  });
  return { kernel, columns: columns * lanes, ranks: RANKS };
}

/** `rows` rows × `columns` columns a thread. */
function defineUp(lanes: number, rows: number, columns: number) {
  const constants = { LANES: lanes, ROWS: rows, COLUMNS: columns, SUMS: rows * columns };
  const kernel = defineKernel({
    name: 'lora_up',
    wgsl: specialise(upSource + dropoutPart, constants),
    params: {
      ...({
        rows: 'u32',
        outputs: 'u32',
        rank: 'u32',
        offset: 'u32',
        output_stride: 'u32',
        rank_stride: 'u32',
      } as const),
      ...sharedParams,
    },
    buffers: { z: 'read', adapter: 'read', y: 'write', step: 'read' },
  });
  return { kernel, rows, columns: columns * lanes };
}

export interface LoraKernels {
  readonly down: ReturnType<typeof defineDown>;
  readonly up: ReturnType<typeof defineUp>;
  readonly outer: ReturnType<typeof defineOuter>;
}

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

/** The three LoRA kernels for an adapter. */
export function loraKernels(kind: AdapterKind, variant: LoraVariant | undefined): LoraKernels {
  if ((variant ?? (kind === 'hardware' ? 'workgroup' : 'lanes')) === 'workgroup') return WORKGROUP;
  return kind === 'swiftshader' ? SWIFTSHADER : LLVMPIPE;
}
