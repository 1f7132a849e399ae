import type { ActivationPlanes } from './quantize_activations.ts';

/**
 * Arithmetic of the layers' frozen linears and storage of what the backward pass needs. Sums are f32 (or exact i32) in all
 * of them; the residual stream, norms, attention, LoRA, the vocabulary's matmul, the loss and the optimiser are always f32.
 *
 * - `f32`: nothing is rounded below f32.
 * - `f16`: both inputs of a frozen matmul are rounded to f16, forward and backward (int8 weights are exact in f16); saves
 *   are kept in f16. On a device without `shader-f16` the matmuls stay f32, and only the saves are f16.
 * - `dp4a`: forward matmuls take activations of 16 bits in two int8 planes, one scale a row, against int8 weights by
 *   `dot4I8Packed`, with outlier columns in f32 (quantize_activations.ts); backward matmuls stay f32; saves are kept in f16.
 *   Needs int8 weights.
 * - `dp4a8`: the same with activations of 8 bits, as in LLM.int8: half of the products, and an error of its own.
 *
 * Any but `f32` has to pass `checkPrecision` (train/precision-gate.ts) on the model in hand before it trains.
 */
export type Precision = (typeof PRECISIONS)[number];

export const PRECISIONS = ['f32', 'f16', 'dp4a', 'dp4a8'] as const;

/** Int8 planes of the forward matmuls' activations; null where they are not quantised. */
export function planesOf(precision: Precision): ActivationPlanes | null {
  switch (precision) {
    case 'dp4a':
      return 2;
    case 'dp4a8':
      return 1;
    default:
      return null;
  }
}
