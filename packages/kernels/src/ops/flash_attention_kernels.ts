import type { AdapterKind } from '../gpu/device.ts';
import { defineKernel } from '../gpu/kernel.ts';
import directForward from './flash_attention_direct_forward.wgsl?raw';
import directKeys from './flash_attention_direct_keys.wgsl?raw';
import directQueries from './flash_attention_direct_queries.wgsl?raw';
import segmentEnds from './flash_attention_segments.wgsl?raw';
import statsSource from './flash_attention_stats.wgsl?raw';
import pairs from './flash_attention_vec2.wgsl?raw';
import quads from './flash_attention_vec4.wgsl?raw';
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

export interface DirectTile {
  /** Threads of a workgroup: the adapter's SIMD width. */
  readonly lanes: number;
  /** Queries (or, for dk and dv, keys) that a thread owns. */
  readonly rows: number;
  /** Keys (queries) that it meets at a time. */
  readonly others: number;
}

/** The three kernels without workgroup memory for heads of a multiple of `vector` floats, 2 or 4. */
export function defineDirect(vector: 2 | 4, { lanes, rows, others }: DirectTile) {
  const wgsl = (source: string) =>
    specialise((vector === 4 ? quads : pairs) + source + segmentEnds, { LANES: lanes, ROWS: rows, OTHERS: others });
  const params = { ...SHAPE, first: 'u32', pieces: 'u32', scale: 'f32' } as const;
  return {
    /** Rows of one workgroup. */
    block: lanes * rows,
    vector,
    forward: defineKernel({
      name: 'flash_attention_forward_direct',
      wgsl: wgsl(directForward),
      params,
      buffers: FORWARD,
    }),
    queries: defineKernel({
      name: 'flash_attention_queries_direct',
      wgsl: wgsl(directQueries),
      params,
      buffers: { ...BACKWARD, dq: 'write' } as const,
    }),
    keys: defineKernel({
      name: 'flash_attention_keys_direct',
      wgsl: wgsl(directKeys),
      params,
      buffers: { ...BACKWARD, dk: 'write', dv: 'write' } as const,
    }),
  };
}

const llvmpipe = { lanes: 8, rows: 2, others: 4 };
const TILES: Record<AdapterKind, DirectTile> = {
  llvmpipe,
  swiftshader: { lanes: 4, rows: 4, others: 4 },
  hardware: llvmpipe,
};
const defineBoth = (tile: DirectTile) => ({ 2: defineDirect(2, tile), 4: defineDirect(4, tile) });
const llvmpipeKernels = defineBoth(TILES.llvmpipe);
const DIRECT: Record<AdapterKind, typeof llvmpipeKernels> = {
  llvmpipe: llvmpipeKernels,
  swiftshader: defineBoth(TILES.swiftshader),
  hardware: llvmpipeKernels,
};

export function directKernels(kind: AdapterKind, headDim: number): ReturnType<typeof defineDirect> {
  return DIRECT[kind][headDim % 4 === 0 ? 4 : 2];
}
