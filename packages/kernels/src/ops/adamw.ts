import type { BufferView } from '../gpu/buffers.ts';
import { gridFor, type ProgramBuilder } from '../gpu/program.ts';
import adamwWgsl from './adamw.wgsl?raw';
import addDriftWgsl from './add_drift.wgsl?raw';
import { defineValueKernels, widest } from './value_kernels.ts';

/*
 * AdamW (Loshchilov and Hutter 2019) as torch.optim.AdamW, after clipping as torch.nn.utils.clip_grad_norm_:
 *   g ← g · min(1, clip / (‖g‖ + 1e-6))
 *   m ← β₁ m + (1 − β₁) g,  v ← β₂ v + (1 − β₂) g²
 *   w ← w (1 − lr · decay) − lr · (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε)
 */
export const adamwKernel = defineValueKernels({
  name: 'adamw',
  wgsl: adamwWgsl,
  // rest = 1 − β comes from the CPU: in f32, 1 − 0.999 is off by 1e-5.
  params: { values: 'u32', beta1: 'f32', beta2: 'f32', rest1: 'f32', rest2: 'f32', eps: 'f32' },
  buffers: { w: 'write', g: 'read', m: 'write', v: 'write', sum_squares: 'read', step: 'read' },
});

export interface AdamW {
  /** Weights (length), updated in place. */
  readonly w: BufferView;
  /** Gradient (length), not yet clipped. */
  readonly g: BufferView;
  /** First moment (length), updated in place. */
  readonly m: BufferView;
  /** Second moment (length), updated in place. */
  readonly v: BufferView;
  /** (1), from `sumSquares` of the same gradient; ignored when the clip norm is 0. */
  readonly sumSquares: BufferView;
  /** STEP values: learningRate, biasCorrection1, biasCorrection2, clipNorm, weightDecay. */
  readonly step: BufferView;
  readonly length: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
}

/** One step of AdamW with global-norm clipping on a flat vector. */
export function adamw(b: ProgramBuilder, options: AdamW): void {
  const { w, g, m, v, sumSquares, step, length, beta1, beta2, eps } = options;
  const { kernel, values } = widest(adamwKernel, length);
  const params = { values, beta1, beta2, rest1: 1 - beta1, rest2: 1 - beta2, eps };
  b.dispatch(kernel, { w, g, m, v, sum_squares: sumSquares, step }, params, gridFor(values, 64));
}

export const addDriftKernel = defineValueKernels({
  name: 'add_drift',
  wgsl: addDriftWgsl,
  params: { values: 'u32' },
  buffers: { w: 'write', drift: 'read', step: 'read' },
});

export interface AddDrift {
  readonly w: BufferView;
  readonly drift: BufferView;
  /** STEP values; `learningRate` is used. */
  readonly step: BufferView;
  readonly length: number;
}

/** w −= lr · drift: a drift correction (SCAFFOLD) that AdamW's normalisation must not touch. */
export function addDrift(b: ProgramBuilder, { w, drift, step, length }: AddDrift): void {
  const { kernel, values } = widest(addDriftKernel, length);
  b.dispatch(kernel, { w, drift, step }, { values }, gridFor(values, 64));
}
