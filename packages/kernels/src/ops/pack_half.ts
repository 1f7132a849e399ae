import type { BufferView } from '../gpu/buffers.ts';
import { GpuError } from '../gpu/error.ts';
import { defineKernel } from '../gpu/kernel.ts';
import { gridFor, type ProgramBuilder } from '../gpu/program.ts';
import packWgsl from './pack_half.wgsl?raw';
import unpackWgsl from './pack_half_backward.wgsl?raw';

/*
 * Two f32 values in one u32 as IEEE 754 half floats (WGSL's pack2x16float, in core: no shader-f16 needed). Values are rounded
 * to the nearest half, and those beyond ±65504 are held there. What a layer keeps for its backward pass is kept like this.
 */
export const packHalfKernel = defineKernel({
  name: 'pack_half',
  wgsl: packWgsl,
  params: { quads: 'u32' },
  buffers: { x: 'read', packed: 'write' },
});

export const unpackHalfKernel = defineKernel({
  name: 'unpack_half',
  wgsl: unpackWgsl,
  params: { quads: 'u32' },
  buffers: { packed: 'read', x: 'write' },
});

export interface PackHalf {
  /** f32 (length) */
  readonly x: BufferView;
  /** u32 (length / 2) */
  readonly packed: BufferView;
  /** A multiple of 4. */
  readonly length: number;
}

/** packed = half(x). Throws GpuError 'validation' for a length that is no multiple of 4. */
export function packHalf(b: ProgramBuilder, { x, packed, length }: PackHalf): void {
  const quads = quadsOf(length);
  b.dispatch(packHalfKernel, { x, packed }, { quads }, gridFor(quads, 64));
}

/** x = the values that packHalf left in `packed`, in f32 again. Throws as packHalf does. */
export function unpackHalf(b: ProgramBuilder, { x, packed, length }: PackHalf): void {
  const quads = quadsOf(length);
  b.dispatch(unpackHalfKernel, { packed, x }, { quads }, gridFor(quads, 64));
}

function quadsOf(length: number): number {
  if (length % 4 !== 0) throw new GpuError('validation', `pack_half: got ${length} values, expected a multiple of 4`);
  return length / 4;
}
