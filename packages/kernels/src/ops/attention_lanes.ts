import type { BufferView } from '../gpu/buffers.ts';
import { defineKernel } from '../gpu/kernel.ts';
import { type DispatchWork, gridFor, type ProgramBuilder } from '../gpu/program.ts';
import keysWgsl from './attention_lanes_keys.wgsl?raw';
import scoresWgsl from './attention_lanes_scores.wgsl?raw';
import valuesWgsl from './attention_lanes_values.wgsl?raw';
import { LANES_TILES, type LanesTile, lanesKind } from './flash_attention_kernels.ts';
import pairs from './flash_attention_vec2.wgsl?raw';
import quads from './flash_attention_vec4.wgsl?raw';
import { inRegisters } from './matmul_registers.ts';
import { specialise } from './matmul_unroll.ts';

const SHAPE = { batch: 'u32', seq: 'u32', heads: 'u32', kv_heads: 'u32', pieces: 'u32' } as const;
const features = ['subgroups'] as const;

/** The products of attention.ts with loads shared by the lanes of a subgroup, for heads of a multiple of `vector` floats. */
function defineLanes(vector: 2 | 4, { lanes, rows, others }: LanesTile) {
  const constants = { LANES: lanes, ROWS: rows, OTHERS: others, LOADS: others / lanes, SCORES: rows * others };
  const wgsl = (source: string) =>
    inRegisters(specialise(source + (vector === 4 ? quads : pairs), constants), constants);
  return {
    /** Rows of one workgroup. */
    block: lanes * rows,
    vector,
    scores: defineKernel({
      name: 'attention_scores_lanes',
      wgsl: wgsl(scoresWgsl),
      params: { ...SHAPE, scale: 'f32' },
      buffers: { a: 'read', b: 'read', scores: 'write' },
      features,
    }),
    values: defineKernel({
      name: 'attention_values_lanes',
      wgsl: wgsl(valuesWgsl),
      params: SHAPE,
      buffers: { weights: 'read', values: 'read', out: 'write' },
      features,
    }),
    keys: defineKernel({
      name: 'attention_keys_lanes',
      wgsl: wgsl(keysWgsl),
      params: SHAPE,
      buffers: { weights: 'read', x: 'read', out: 'write' },
      features,
    }),
  };
}

const defineBoth = (tile: LanesTile) => ({ 2: defineLanes(2, tile), 4: defineLanes(4, tile) });
const LANES = { llvmpipe: defineBoth(LANES_TILES.llvmpipe), swiftshader: defineBoth(LANES_TILES.swiftshader) };

export interface AttentionShape {
  readonly batch: number;
  readonly seq: number;
  readonly heads: number;
  /** A divisor of heads. */
  readonly kvHeads: number;
  readonly headDim: number;
}

/** The three products of attention.ts, recorded for a shape. */
export interface AttentionProducts {
  scores(buffers: Record<'a' | 'b' | 'scores', BufferView>, scale: number): void;
  values(buffers: Record<'weights' | 'values' | 'out', BufferView>): void;
  keys(buffers: Record<'weights' | 'x' | 'out', BufferView>): void;
}

/** For software adapters whose subgroups fit, and even heads; else undefined. */
export function lanesProducts(
  b: ProgramBuilder,
  { batch, seq, heads, kvHeads, headDim }: AttentionShape,
  work: DispatchWork,
): AttentionProducts | undefined {
  const kind = headDim % 2 === 0 ? lanesKind(b.gpu) : undefined;
  if (!kind) return undefined;
  const { block, vector, scores, values, keys } = LANES[kind][headDim % 4 === 0 ? 4 : 2];
  const shape = { batch, seq, heads, kv_heads: kvHeads, pieces: headDim / vector };
  const grid = (of: number) => gridFor(batch * of * Math.ceil(seq / block), 1);
  return {
    scores: (buffers, scale) => b.dispatch(scores, buffers, { ...shape, scale }, grid(heads), {}, work),
    values: (buffers) => b.dispatch(values, buffers, shape, grid(heads), {}, work),
    keys: (buffers) => b.dispatch(keys, buffers, shape, grid(kvHeads), {}, work),
  };
}
