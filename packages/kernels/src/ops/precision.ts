/**
 * Arithmetic of the layers' frozen linears and storage of what the backward pass needs. Sums are f32 (or exact i32) in all
 * of them; the residual stream, norms, attention, LoRA, the vocabulary's matmul, the loss and the optimiser are always f32.
 *
 * - `f32`: nothing is rounded below f32.
 * - `f16`: both inputs of a frozen matmul are rounded to f16, forward and backward (int8 weights are exact in f16); saves
 *   are kept in f16. On a device without `shader-f16` the matmuls stay f32, and only the saves are f16.
 * - `dp4a`: forward matmuls take int8 activations, one scale a row, against int8 weights, with outlier columns in f32
 *   (quantize_activations.ts); backward matmuls stay f32; saves are kept in f16. Needs int8 weights.
 *
 * Any but `f32` has to pass `checkPrecision` (train/precision-gate.ts) on the model in hand before it trains.
 */
export type Precision = (typeof PRECISIONS)[number];

export const PRECISIONS = ['f32', 'f16', 'dp4a'] as const;
