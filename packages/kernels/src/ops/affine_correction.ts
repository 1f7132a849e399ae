import type { BufferView } from '../gpu/buffers.ts';
import { gridFor, type ProgramBuilder } from '../gpu/program.ts';
import affineCorrectionWgsl from './affine_correction.wgsl?raw';
import { defineValueKernels, widest } from './value_kernels.ts';

/*
 * What federated algorithms add to a local gradient: g ← g + μ (w − w₀) + drift.
 * FedProx (Li et al. 2020) sets μ and w₀ = the global adapter; SCAFFOLD (Karimireddy et al. 2020) sets drift = c − cᵢ.
 */
export const affineCorrectionKernel = defineValueKernels({
  name: 'affine_correction',
  wgsl: affineCorrectionWgsl,
  params: { values: 'u32' },
  buffers: { grad: 'write', w: 'read', w0: 'read', drift: 'read', step: 'read' },
});

export interface AffineCorrection {
  readonly grad: BufferView;
  readonly w: BufferView;
  /** The adapter that the round started from; null: no proximal term. */
  readonly w0: BufferView | null;
  /** Null: none. */
  readonly drift: BufferView | null;
  /** STEP values; `mu` is used. */
  readonly step: BufferView;
  /** Elements of each vector. */
  readonly length: number;
}

/** grad += step[mu] · (w − w0) + drift */
export function affineCorrection(b: ProgramBuilder, options: AffineCorrection): void {
  const { grad, w, w0, drift, step, length } = options;
  const { kernel, values } = widest(affineCorrectionKernel, length);
  const bound = { grad, w, w0: w0 ?? w, drift: drift ?? w, step }; // every binding must hold something
  const overrides = { PROXIMAL: w0 ? 1 : 0, DRIFT: drift ? 1 : 0 };
  b.dispatch(kernel, bound, { values }, gridFor(values, 64), overrides);
}
