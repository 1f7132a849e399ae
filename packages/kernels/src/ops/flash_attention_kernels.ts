import type { AdapterKind, Gpu } from '../gpu/device.ts';
import { defineKernel } from '../gpu/kernel.ts';
import forwardSource from './flash_attention_lanes_forward.wgsl?raw';
import keysSource from './flash_attention_lanes_keys.wgsl?raw';
import queriesSource from './flash_attention_lanes_queries.wgsl?raw';
import segmentEnds from './flash_attention_segments.wgsl?raw';
import statsSource from './flash_attention_stats.wgsl?raw';
import pairs from './flash_attention_vec2.wgsl?raw';
import quads from './flash_attention_vec4.wgsl?raw';
import { inRegisters } from './matmul_registers.ts';
import { specialise } from './matmul_unroll.ts';
import rowReduceWgsl from './row_reduce.wgsl?raw';

const SHAPE = { batch: 'u32', seq: 'u32', heads: 'u32', kv_heads: 'u32' } as const;
const FORWARD = { q: 'read', k: 'read', v: 'read', segments: 'read', out: 'write', lse: 'write' } as const;
const BACKWARD = { q: 'read', k: 'read', v: 'read', segments: 'read', dout: 'read', stats: 'read' } as const;

/** (lse, delta) of every head of every token; shared by both variants. */
export const flashStats = defineKernel({
  name: 'flash_attention_stats',
  wgsl: statsSource + rowReduceWgsl,
  params: { rows: 'u32', dim: 'u32' },
  buffers: { lse: 'read', out: 'read', dout: 'read', stats: 'write' },
});

export interface LanesTile {
  /** Threads of a workgroup: the adapter's subgroup. */
  readonly lanes: number;
  /** Queries (or, for dk and dv, keys) that a thread owns. */
  readonly rows: number;
  /** Keys (queries) that it meets at a time: a multiple of the lanes. */
  readonly others: number;
}

/** The three kernels whose loads the lanes of a subgroup share, for heads of a multiple of `vector` floats, 2 or 4. */
export function defineLanes(vector: 2 | 4, { lanes, rows, others }: LanesTile) {
  const constants = { LANES: lanes, ROWS: rows, OTHERS: others, LOADS: others / lanes, SCORES: rows * others };
  const wgsl = (source: string) =>
    inRegisters(specialise(source + (vector === 4 ? quads : pairs) + segmentEnds, constants), constants);
  const params = { ...SHAPE, first: 'u32', pieces: 'u32', scale: 'f32' } as const;
  const features = ['subgroups'] as const;
  return {
    /** Rows of one workgroup. */
    block: lanes * rows,
    vector,
    forward: defineKernel({
      name: 'flash_attention_forward_lanes',
      wgsl: wgsl(forwardSource),
      params,
      buffers: FORWARD,
      features,
    }),
    queries: defineKernel({
      name: 'flash_attention_queries_lanes',
      wgsl: wgsl(queriesSource),
      params,
      buffers: { ...BACKWARD, dq: 'write' } as const,
      features,
    }),
    keys: defineKernel({
      name: 'flash_attention_keys_lanes',
      wgsl: wgsl(keysSource),
      params,
      buffers: { ...BACKWARD, dk: 'write', dv: 'write' } as const,
      features,
    }),
  };
}

/** Tiles of software adapters; the same for the products of attention_lanes.ts. */
export const LANES_TILES = {
  llvmpipe: { lanes: 8, rows: 2, others: 16 },
  swiftshader: { lanes: 4, rows: 4, others: 16 },
} as const satisfies Record<Exclude<AdapterKind, 'hardware'>, LanesTile>;

/** Whose tile fits; undefined on hardware, and where a workgroup would not be exactly one subgroup. */
export function lanesKind({ adapter, device }: Pick<Gpu, 'adapter' | 'device'>): keyof typeof LANES_TILES | undefined {
  if (adapter.kind === 'hardware' || !device.features.has('subgroups')) return undefined;
  const { lanes } = LANES_TILES[adapter.kind];
  const { subgroupMinSize, subgroupMaxSize } = device.adapterInfo;
  return subgroupMinSize === lanes && subgroupMaxSize === lanes ? adapter.kind : undefined;
}

const defineBoth = (tile: LanesTile) => ({ 2: defineLanes(2, tile), 4: defineLanes(4, tile) });
const LANES = { llvmpipe: defineBoth(LANES_TILES.llvmpipe), swiftshader: defineBoth(LANES_TILES.swiftshader) };

/** The kernels for software adapters, even heads; undefined where `lanesKind` is. */
export function lanesKernels(
  gpu: Pick<Gpu, 'adapter' | 'device'>,
  headDim: number,
): ReturnType<typeof defineLanes> | undefined {
  const kind = lanesKind(gpu);
  return kind && LANES[kind][headDim % 4 === 0 ? 4 : 2];
}
