import type { BufferView } from '../gpu/buffers.ts';

/** A frozen weight (rows = N outputs, cols = K inputs), row-major, on the GPU. */
export type Matrix =
  | {
      readonly dtype: 'int8';
      /** Packed 4 along K per u32, little end first: (rows, cols / 4). */
      readonly q: BufferView;
      /** Row scales (rows): W[n, k] = q[n, k] · scale[n]. */
      readonly scale: BufferView;
      readonly rows: number;
      readonly cols: number;
    }
  | { readonly dtype: 'f32'; readonly w: BufferView; readonly rows: number; readonly cols: number };
