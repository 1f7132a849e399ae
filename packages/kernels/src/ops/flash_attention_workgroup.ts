import { defineKernel } from '../gpu/kernel.ts';
import product from './flash_attention_product.wgsl?raw';
import segmentEnds from './flash_attention_segments.wgsl?raw';
import sums from './flash_attention_sums.wgsl?raw';
import workgroup from './flash_attention_workgroup.wgsl?raw';
import forward from './flash_attention_workgroup_forward.wgsl?raw';
import keys from './flash_attention_workgroup_keys.wgsl?raw';
import queries from './flash_attention_workgroup_queries.wgsl?raw';
import { specialise } from './matmul_unroll.ts';

const PARAMS = { batch: 'u32', seq: 'u32', heads: 'u32', kv_heads: 'u32', first: 'u32', scale: 'f32' } as const;
const INPUTS = { q: 'read', k: 'read', v: 'read', segments: 'read' } as const;
const BACKWARD = { ...INPUTS, dout: 'read', stats: 'read' } as const;

// WGSL functions take no storage buffers everywhere yet, so each pair of tensors gets a function of its own.
const productOf = (left: string, right: string) => product.replaceAll('LEFT', left).replaceAll('RIGHT', right);
const sumsOf = (values: string) => sums.replaceAll('VALUES', values);

/**
 * The three kernels that share tiles through workgroup memory, 64 rows and 256 threads a workgroup, within WebGPU's
 * default limits. The sums of a head stand in registers, so its size is written into the source.
 */
function defineWorkgroup(headDim: number) {
  const dims = Math.ceil(headDim / 16); // elements of a head a thread
  const constants = { ROWS: 4, OTHERS: 2, DIMS: dims, WIDTH: dims * 16, HEAD_DIM: headDim };
  const wgsl = (source: string, ...parts: string[]) =>
    specialise(source + workgroup + parts.join('') + segmentEnds, constants);
  return {
    block: 64,
    forward: defineKernel({
      name: 'flash_attention_forward_workgroup',
      wgsl: wgsl(forward, productOf('q', 'k'), sumsOf('v')),
      params: PARAMS,
      buffers: { ...INPUTS, out: 'write', lse: 'write' } as const,
    }),
    queries: defineKernel({
      name: 'flash_attention_queries_workgroup',
      wgsl: wgsl(queries, productOf('q', 'k'), productOf('dout', 'v'), sumsOf('k')),
      params: PARAMS,
      buffers: { ...BACKWARD, dq: 'write' } as const,
    }),
    keys: defineKernel({
      name: 'flash_attention_keys_workgroup',
      wgsl: wgsl(keys, productOf('k', 'q'), productOf('v', 'dout'), sumsOf('dout'), sumsOf('q')),
      params: PARAMS,
      buffers: { ...BACKWARD, dk: 'write', dv: 'write' } as const,
    }),
  };
}

/** Kernels by the head's size; those of 64 stand for all in the test of the ops' contract. */
const defined = new Map([[64, defineWorkgroup(64)]]);

/** The kernels for heads of `headDim`, at most 128, defined once. */
export function workgroupKernels(headDim: number): ReturnType<typeof defineWorkgroup> {
  const kernels = defined.get(headDim) ?? defineWorkgroup(headDim);
  defined.set(headDim, kernels);
  return kernels;
}
