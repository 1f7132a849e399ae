import type { BufferView } from '../gpu/buffers.ts';
import { gridFor, type ProgramBuilder } from '../gpu/program.ts';
import forwardWgsl from './swiglu.wgsl?raw';
import backwardWgsl from './swiglu_backward.wgsl?raw';
import { defineValueKernels, widest } from './value_kernels.ts';

/*
 * SwiGLU (Shazeer 2020), elementwise, with σ the logistic function:
 *   y = gate · σ(gate) · up
 *   dup = dy · gate · σ(gate)
 *   dgate = dy · up · σ(gate) · (1 + gate · (1 − σ(gate)))
 */
export const swiglu = defineValueKernels({
  name: 'swiglu',
  wgsl: forwardWgsl,
  params: { values: 'u32' },
  buffers: { gate: 'read', up: 'read', y: 'write' },
});

export const swigluGradient = defineValueKernels({
  name: 'swiglu_backward',
  wgsl: backwardWgsl,
  params: { values: 'u32' },
  buffers: { gate: 'write', up: 'write', dy: 'read' },
});

export interface SwigluForward {
  readonly gate: BufferView;
  readonly up: BufferView;
  readonly y: BufferView;
  /** Elements of each tensor. */
  readonly length: number;
}

/** y = silu(gate) · up */
export function swigluForward(b: ProgramBuilder, { gate, up, y, length }: SwigluForward): void {
  const { kernel, values } = widest(swiglu, length);
  b.dispatch(kernel, { gate, up, y }, { values }, gridFor(values, 64));
}

export interface SwigluBackward {
  /** Overwritten by dgate. */
  readonly gate: BufferView;
  /** Overwritten by dup. */
  readonly up: BufferView;
  readonly dy: BufferView;
  /** Elements of each tensor. */
  readonly length: number;
}

/** Puts the gradients of `swigluForward` in the places of gate and up, which nothing needs after them. */
export function swigluBackward(b: ProgramBuilder, { gate, up, dy, length }: SwigluBackward): void {
  const { kernel, values } = widest(swigluGradient, length);
  b.dispatch(kernel, { gate, up, dy }, { values }, gridFor(values, 64));
}
