import type { Product } from './product.ts';

/** What is rounded: nothing, the weights, or weights and activations. Sums are f32 or wider in all of them. */
export type Arithmetic = 'f32' | 'int8 weights' | 'int8 × int8' | 'int16 × int8';

/** One way of one library to compute a product whose inputs already lie on the GPU. */
export interface Contestant {
  /** How, e.g. 'matMul, W transposed'. */
  readonly method: string;
  readonly arithmetic: Arithmetic;
  /** Computes the product `times` times and resolves when the GPU has finished the last. */
  run(times: number): Promise<void>;
  /** The product, (m, n). */
  result(): Promise<Float32Array>;
  destroy(): Promise<void> | void;
}

/** A library, ready on its own GPU device. */
export interface Library {
  readonly device: GPUDevice;
  /** Its ways to compute `product`, one at a time made when asked for: weights of all at once may not fit. */
  contestants(product: Product): readonly (() => Promise<Contestant>)[];
}

/** Everybody waits for the end of their work in this one way. */
export async function finished(device: GPUDevice): Promise<void> {
  await device.queue.onSubmittedWorkDone();
}

/** Largest relative error with which a contestant still counts as computing the product. */
export const TOLERANCE: Record<Arithmetic, number> = {
  f32: 1e-4,
  'int8 weights': 1e-4,
  'int8 × int8': 5e-2,
  'int16 × int8': 1e-3,
};
