import type { BufferView } from '../gpu/buffers.ts';
import { defineKernel, type Kernel, type ScalarType } from '../gpu/kernel.ts';
import type { DispatchWork, Grid, ProgramBuilder } from '../gpu/program.ts';
import chunkWord from './matmul_chunk_word.wgsl?raw';
import chunkWords from './matmul_chunk_words.wgsl?raw';
import chunksF32 from './matmul_chunks_f32.wgsl?raw';
import { inRegisters } from './matmul_registers.ts';
import { type Constants, specialise } from './matmul_unroll.ts';
import f32Weights from './matmul_weights_f32.wgsl?raw';
import int8Weights from './matmul_weights_int8.wgsl?raw';
import type { Matrix } from './matrix.ts';

/** The same kernel for both kinds of weights; only the WGSL part that reads a quad of weights differs. */
export interface WeightKernels<P extends Record<string, ScalarType>, I extends string, O extends string> {
  readonly int8: Kernel<P, Record<I, 'read'> & Record<O, 'write'> & { w: 'read'; scale: 'read' }>;
  readonly f32: Kernel<P, Record<I, 'read'> & Record<O, 'write'> & { w: 'read' }>;
  /** Like int8, but loads 16 weights at once: for matrices whose columns are a multiple of 16. */
  readonly int8Words?: WeightKernels<P, I, O>['int8'];
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

interface ChunkKernelSpec<P extends Record<string, ScalarType>, I extends string, O extends string>
  extends WeightKernelSpec<P, I, O> {
  /** How int8 weights become floats: `unpacked`, of a word, and `weight_scale`. */
  readonly int8: string;
  /** Constants that depend on the chunk, on top of CHUNK_QUADS. */
  readonly ofChunk?: (chunkQuads: number) => Constants;
  readonly features?: readonly GPUFeatureName[];
  /** Whether the elements of arrays become variables; see `inRegisters`. */
  readonly registers?: boolean;
}

/** Kernels that load weights by the chunk: a word or four of int8, a quad of f32. */
export function defineChunkKernels<const P extends Record<string, ScalarType>, I extends string, O extends string>(
  spec: ChunkKernelSpec<P, I, O>,
): Required<WeightKernels<P, I, O>> {
  const { name, entry = name, params, features = [] } = spec;
  const tensors = { [spec.input]: 'read', [spec.output]: 'write' } as Record<I, 'read'> & Record<O, 'write'>;
  const source = (chunkQuads: number, weights: string) => {
    const ofChunk = { CHUNK_QUADS: chunkQuads, ...spec.ofChunk?.(chunkQuads) };
    const constants = { ...spec.constants, ...ofChunk };
    const written = specialise(spec.wgsl + weights, constants);
    return spec.registers ? inRegisters(written, constants) : written;
  };
  const int8 = (chunkQuads: number, chunk: string) =>
    defineKernel({
      name: `${name}_int8`,
      entry,
      wgsl: source(chunkQuads, chunk + spec.int8),
      params,
      buffers: { ...tensors, w: 'read', scale: 'read' } as const,
      features,
    });
  return {
    int8: int8(1, chunkWord),
    int8Words: int8(4, chunkWords),
    f32: defineKernel({
      name: `${name}_f32`,
      entry,
      wgsl: source(1, chunksF32),
      params,
      buffers: { ...tensors, w: 'read' } as const,
      features,
    }),
  };
}

/** Whether `dispatchWithWeights` takes the kernel that loads 16 weights at once. */
export function loadsWords(kernels: { readonly int8Words?: unknown }, { dtype, cols }: Matrix): boolean {
  return dtype === 'int8' && cols % 16 === 0 && kernels.int8Words !== undefined;
}

/** Records the kernel of the set that fits the matrix. */
export function dispatchWithWeights<P extends Record<string, ScalarType>, I extends string, O extends string>(
  b: ProgramBuilder,
  kernels: WeightKernels<P, I, O>,
  matrix: Matrix,
  tensors: Readonly<Record<I | O, BufferView>>,
  params: Readonly<Record<keyof P, number>>,
  grid: Grid,
  work: DispatchWork | undefined = undefined,
): void {
  if (matrix.dtype === 'int8') {
    b.dispatch<Record<string, ScalarType>, Record<string, 'read' | 'write'>>(
      ((loadsWords(kernels, matrix) && kernels.int8Words) || kernels.int8) as unknown as Kernel,
      { ...tensors, w: matrix.q, scale: matrix.scale },
      params as Record<string, number>,
      grid,
      {},
      work,
    );
  } else {
    b.dispatch<Record<string, ScalarType>, Record<string, 'read' | 'write'>>(
      kernels.f32 as unknown as Kernel,
      { ...tensors, w: matrix.w },
      params as Record<string, number>,
      grid,
      {},
      work,
    );
  }
}
