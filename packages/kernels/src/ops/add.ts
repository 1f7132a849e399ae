import type { BufferView } from '../gpu/buffers.ts';
import { gridFor, type ProgramBuilder } from '../gpu/program.ts';
import addWgsl from './add.wgsl?raw';
import { defineValueKernels, widest } from './value_kernels.ts';

/* The residual sum x ← x + y. Its backward is the same: the gradient of the sum is added where it branches. */
export const add = defineValueKernels({
  name: 'add',
  wgsl: addWgsl,
  params: { values: 'u32' },
  buffers: { x: 'write', y: 'read' },
});

export interface AddInPlace {
  readonly x: BufferView;
  readonly y: BufferView;
  /** Elements of each tensor. */
  readonly length: number;
}

/** x += y, elementwise. */
export function addInPlace(b: ProgramBuilder, { x, y, length }: AddInPlace): void {
  const { kernel, values } = widest(add, length);
  b.dispatch(kernel, { x, y }, { values }, gridFor(values, 64));
}
