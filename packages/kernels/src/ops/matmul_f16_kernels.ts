import { defineKernel, type Kernel } from '../gpu/kernel.ts';
import backwardWgsl from './matmul_f16_backward.wgsl?raw';
import forwardWgsl from './matmul_f16_forward.wgsl?raw';
import f32Weights from './matmul_f16_weights_f32.wgsl?raw';
import int8Weights from './matmul_f16_weights_int8.wgsl?raw';
import { type Constants, specialise } from './matmul_unroll.ts';
import type { Matrix } from './matrix.ts';

const FORWARD = { x: 'read', y: 'write', w: 'read' } as const;
const BACKWARD = { dy: 'read', exponent: 'read', dx: 'write', w: 'read' } as const;
const SIZES = { rows: 'u32', input_quads: 'u32', outputs: 'u32' } as const;

/** The four kernels of one way to multiply f16 tiles: forward and backward, int8 and f32 weights. */
export interface HalfKernels {
  readonly forward: Readonly<Record<Matrix['dtype'], Kernel<typeof SIZES, typeof FORWARD>>>;
  readonly backward: Readonly<Record<Matrix['dtype'], Kernel<typeof SIZES & { accumulate: 'u32' }, typeof BACKWARD>>>;
}

export interface HalfKernelSpec {
  /** Also the entry point. */
  readonly name: string;
  /** `enable` directives, which stand before everything else. */
  readonly enables: string;
  /** Declares the tiles and multiplies them; see matmul_f16.wgsl. */
  readonly multiply: string;
  readonly constants: Constants;
  readonly features: readonly GPUFeatureName[];
}

/** Puts a multiplication of f16 tiles together with what loads the tiles and stores the sums. */
export function defineHalfKernels({ name, enables, multiply, constants, features }: HalfKernelSpec): HalfKernels {
  const kernel = (direction: 'forward' | 'backward', dtype: Matrix['dtype']): Kernel => {
    const [own, wgsl, params] =
      direction === 'forward'
        ? [FORWARD, forwardWgsl, SIZES]
        : [BACKWARD, backwardWgsl, { ...SIZES, accumulate: 'u32' as const }];
    const at = Object.keys(own).length; // of w, the last of them; its scales follow
    const weights = (dtype === 'int8' ? int8Weights : f32Weights)
      .replace('W_BINDING', `${at}`)
      .replace('SCALE_BINDING', `${at + 1}`);
    return defineKernel({
      name: `${name}_${direction}_${dtype}`,
      entry: name,
      wgsl: enables + specialise(multiply + wgsl + weights, constants),
      params: { ...params },
      buffers: dtype === 'int8' ? { ...own, scale: 'read' } : { ...own },
      features,
    });
  };
  const both = (direction: 'forward' | 'backward') => ({
    int8: kernel(direction, 'int8'),
    f32: kernel(direction, 'f32'),
  });
  return { forward: both('forward'), backward: both('backward') } as unknown as HalfKernels;
}

/** The buffers of a matrix under the names that the kernels bind them by. */
export function weightBuffers(w: Matrix) {
  return w.dtype === 'int8' ? { w: w.q, scale: w.scale } : { w: w.w };
}
