import type { BufferView } from '../gpu/buffers.ts';
import { defineKernel } from '../gpu/kernel.ts';
import { gridFor, type ProgramBuilder } from '../gpu/program.ts';
import addWgsl from './add.wgsl?raw';

/* The residual sum x ← x + y. Its backward is the same: the gradient of the sum is added where it branches. */
export const add = defineKernel({
  name: 'add',
  wgsl: addWgsl,
  params: { length: 'u32' },
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
  b.dispatch(add, { x, y }, { length }, gridFor(length, 64));
}
