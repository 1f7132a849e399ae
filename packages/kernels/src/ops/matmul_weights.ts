import type { BufferView } from '../gpu/buffers.ts';
import { defineKernel, type Kernel, type Overrides, type ScalarType } from '../gpu/kernel.ts';
import type { Grid, ProgramBuilder } from '../gpu/program.ts';
import { type Constants, specialise } from './matmul_unroll.ts';
import f32Weights from './matmul_weights_f32.wgsl?raw';
import int8Weights from './matmul_weights_int8.wgsl?raw';
import type { Matrix } from './matrix.ts';

/** The same kernel for both kinds of weights; only the WGSL part that reads a quad of weights differs. */
export interface WeightKernels<P extends Record<string, ScalarType>, I extends string, O extends string> {
  readonly int8: Kernel<P, Record<I, 'read'> & Record<O, 'write'> & { w: 'read'; scale: 'read' }>;
  readonly f32: Kernel<P, Record<I, 'read'> & Record<O, 'write'> & { w: 'read' }>;
}

interface WeightKernelSpec<P extends Record<string, ScalarType>, I extends string, O extends string> {
  readonly name: string;
  /** Entry point; by default the name. */
  readonly entry?: string;
  readonly wgsl: string;
  /** Tile sizes; see `specialise`. */
  readonly constants?: Constants;
  readonly params: P;
  /** Bound at 1 (read) and 2 (written); the weights follow at 3, their scales at 4. */
  readonly input: I;
  readonly output: O;
}

export function defineWeightKernels<const P extends Record<string, ScalarType>, I extends string, O extends string>(
  spec: WeightKernelSpec<P, I, O>,
): WeightKernels<P, I, O> {
  const { name, entry = name, params } = spec;
  const source = specialise(spec.wgsl, spec.constants ?? {});
  const tensors = { [spec.input]: 'read', [spec.output]: 'write' } as Record<I, 'read'> & Record<O, 'write'>;
  return {
    int8: defineKernel({
      name: `${name}_int8`,
      entry,
      wgsl: source + int8Weights,
      params,
      buffers: { ...tensors, w: 'read', scale: 'read' } as const,
    }),
    f32: defineKernel({
      name: `${name}_f32`,
      entry,
      wgsl: source + f32Weights,
      params,
      buffers: { ...tensors, w: 'read' } as const,
    }),
  };
}

/** Records the kernel of the pair that fits the matrix. */
export function dispatchWithWeights<P extends Record<string, ScalarType>, I extends string, O extends string>(
  b: ProgramBuilder,
  kernels: WeightKernels<P, I, O>,
  matrix: Matrix,
  tensors: Readonly<Record<I | O, BufferView>>,
  params: Readonly<Record<keyof P, number>>,
  grid: Grid,
  overrides: Overrides = {},
): void {
  if (matrix.dtype === 'int8') {
    b.dispatch<Record<string, ScalarType>, Record<string, 'read' | 'write'>>(
      kernels.int8 as unknown as Kernel,
      { ...tensors, w: matrix.q, scale: matrix.scale },
      params as Record<string, number>,
      grid,
      overrides,
    );
  } else {
    b.dispatch<Record<string, ScalarType>, Record<string, 'read' | 'write'>>(
      kernels.f32 as unknown as Kernel,
      { ...tensors, w: matrix.w },
      params as Record<string, number>,
      grid,
      overrides,
    );
  }
}
