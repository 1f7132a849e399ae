import type { Gpu } from '../gpu/device.ts';
import lanesBackward from './matmul_lanes_backward.wgsl?raw';
import lanesForward from './matmul_lanes_forward.wgsl?raw';
import lanesInt8 from './matmul_lanes_int8.wgsl?raw';
import type { Constants } from './matmul_unroll.ts';
import { type Backward, backwardOp, type Forward, forwardOp, type Tile } from './matmul_variant.ts';
import { defineChunkKernels } from './matmul_weights.ts';

/** The lanes variants need a workgroup to be exactly one subgroup. */
export const subgroupsOf =
  (lanes: number) =>
  (gpu: Gpu): boolean => {
    const { subgroupMinSize, subgroupMaxSize } = gpu.device.adapterInfo;
    return gpu.device.features.has('subgroups') && subgroupMinSize === lanes && subgroupMaxSize === lanes;
  };

const lanesKernels = { int8: lanesInt8, features: ['subgroups'] } as const;

interface LanesForwardTile {
  /** A multiple of the lanes. */
  readonly rows: number;
  /** That a lane sums. */
  readonly columns: number;
  /** Chunks of inputs that are written out for a turn of the loop. */
  readonly depth: number;
}

interface LanesForward {
  /** Where a load brings four weights. */
  readonly single: LanesForwardTile;
  /** Where it brings 16. */
  readonly words: LanesForwardTile;
  readonly turn: string;
  /** The part with `from_lanes`. */
  readonly exchange: string;
  readonly registers?: boolean;
}

/** A register tile whose loads the lanes of a subgroup share. */
export function lanesForwardOf(
  lanes: number,
  { single, words, turn, exchange, registers = false }: LanesForward,
): Forward {
  const kernels = defineChunkKernels({
    name: 'matmul_lanes_forward',
    wgsl: lanesForward.replace(/^ *\/\/ turn:.*\n/m, turn) + exchange,
    constants: { LANES: lanes },
    ofChunk: (chunkQuads): Constants => {
      const { rows, columns, depth } = chunkQuads === 1 ? single : words;
      return {
        TILE_ROWS: rows,
        ROW_GROUPS: rows / lanes,
        TILE_COLUMNS: columns,
        DEPTH: depth,
        TURN_QUADS: depth * chunkQuads,
      };
    },
    registers,
    ...lanesKernels,
    ...forwardOp,
  });
  const tile = ({ rows, columns }: LanesForwardTile): Tile => ({ rows, columns: columns * lanes });
  return { kernels, ...tile(single), words: tile(words), made: 'software', supports: subgroupsOf(lanes) };
}

interface LanesBackwardTile {
  /** A multiple of the lanes. */
  readonly rows: number;
  /** Quads of inputs that a lane sums: a multiple of 4 where it loads 16 weights at once. */
  readonly quads: number;
  /** Quads of outputs that are written out for a turn of the loop. */
  readonly turn: number;
}

interface LanesBackward {
  /** Where a load brings four weights. */
  readonly single: LanesBackwardTile;
  /** Where it brings 16. */
  readonly words: LanesBackwardTile;
  /** The part with `from_lanes`. */
  readonly exchange: string;
}

export function lanesBackwardOf(lanes: number, { single, words, exchange }: LanesBackward): Backward {
  const kernels = defineChunkKernels({
    name: 'matmul_lanes_backward',
    wgsl: lanesBackward + exchange,
    constants: { LANES: lanes, QUAD: 4 },
    ofChunk: (chunkQuads): Constants => {
      const { rows, quads, turn } = chunkQuads === 1 ? single : words;
      return {
        TILE_ROWS: rows,
        ROW_GROUPS: rows / lanes,
        TILE_CHUNKS: quads / chunkQuads,
        TURN: turn,
        TURN_OUTPUTS: 4 * turn,
      };
    },
    registers: true,
    ...lanesKernels,
    ...backwardOp,
  });
  const tile = ({ rows, quads }: LanesBackwardTile): Tile => ({ rows, columns: quads * 4 * lanes });
  return { kernels, ...tile(single), words: tile(words), made: 'software', supports: subgroupsOf(lanes) };
}
