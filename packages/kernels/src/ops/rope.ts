import type { BufferView } from '../gpu/buffers.ts';
import { defineKernel } from '../gpu/kernel.ts';
import { gridFor, type ProgramBuilder } from '../gpu/program.ts';
import type { LlamaConfig } from '../llama/config.ts';
import ropeWgsl from './rope.wgsl?raw';

/*
 * Rotary position embedding (Su et al. 2021) in the half-split convention of Hugging Face's Llama. With θ = position · f[d]:
 *   x[d]        ← x[d] · cos θ − x[d + half] · sin θ
 *   x[d + half] ← x[d + half] · cos θ + x[d] · sin θ        d < half = headDim / 2
 * A rotation's gradient is the rotation by −θ.
 */
export const rope = defineKernel({
  name: 'rope',
  wgsl: ropeWgsl,
  params: { rows: 'u32', heads: 'u32', head_dim: 'u32', direction: 'f32' },
  buffers: { x: 'write', positions: 'read', inverse_frequency: 'read' },
});

export interface Rope {
  /** (rows, heads · headDim), rotated in place. */
  readonly x: BufferView;
  /** u32 (rows): position of each token within its own sequence. */
  readonly positions: BufferView;
  /** (headDim / 2), see `ropeInverseFrequencies`. */
  readonly inverseFrequency: BufferView;
  readonly rows: number;
  readonly heads: number;
  readonly headDim: number;
}

/** Rotates x in place by its positions. */
export function ropeForward(b: ProgramBuilder, options: Rope): void {
  rotate(b, options, 1);
}

/** Rotates the gradient in place by the negative angles. */
export function ropeBackward(b: ProgramBuilder, options: Rope): void {
  rotate(b, options, -1);
}

function rotate(b: ProgramBuilder, { x, positions, inverseFrequency, rows, heads, headDim }: Rope, direction: 1 | -1) {
  const buffers = { x, positions, inverse_frequency: inverseFrequency };
  b.dispatch(rope, buffers, { rows, heads, head_dim: headDim, direction }, gridFor((rows * headDim) / 2, 64));
}

/**
 * Radians a position for each pair of a head, (headDim / 2): θ^(−2d / headDim), scaled as `rope_scaling` says.
 * linear: divided by the factor. llama3 (Llama 3.1): wavelengths over original/lowFreqFactor are divided by the factor,
 * those under original/highFreqFactor are kept, and between the two the frequency is interpolated.
 */
export function ropeInverseFrequencies(config: LlamaConfig): Float32Array<ArrayBuffer> {
  const { headDim, ropeTheta, ropeScaling: scaling } = config;
  return Float32Array.from({ length: headDim / 2 }, (_, d) => {
    const frequency = ropeTheta ** ((-2 * d) / headDim);
    if (scaling === null) return frequency;
    if (scaling.type === 'linear') return frequency / scaling.factor;
    const { factor, lowFreqFactor, highFreqFactor, originalMaxPositions } = scaling;
    const turns = (originalMaxPositions * frequency) / (2 * Math.PI); // full turns over the original context
    const kept = Math.min(1, Math.max(0, (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor)));
    return kept * frequency + ((1 - kept) * frequency) / factor;
  });
}
