/**
 * Values that change every step live in one small storage buffer (16 × f32), so that recorded programs never change.
 * WGSL reads them as `step[STEP.…]`; the seed is a u32 whose bits are stored in the float.
 */
export const STEP = {
  learningRate: 0,
  /** 1 − β₁ᵗ */
  biasCorrection1: 1,
  /** 1 − β₂ᵗ */
  biasCorrection2: 2,
  /** Global gradient-norm clip; 0 = off. */
  clipNorm: 3,
  /** 1 / number of label tokens of the whole batch. */
  inverseLabelTokens: 4,
  /** Bits of a u32. */
  dropoutSeed: 5,
  /** Decoupled weight decay (AdamW). */
  weightDecay: 6,
  /** FedProx μ of the affine correction. */
  mu: 7,
  /** DPO's β. */
  beta: 8,
  /** 1 / number of preference pairs of the whole batch. */
  inversePairs: 9,
} as const;

export const STEP_ELEMENTS = 16;
