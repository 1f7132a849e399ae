import type { BufferView } from '../gpu/buffers.ts';

/** Most columns that are taken out of the int8 activations; see `quantizeActivations`. */
export const MAX_OUTLIER_COLUMNS = 32;

/** Activations x (rows, inputs) in int8 with their outlier columns beside them; scratch, overwritten by every use. */
export interface QuantizedRows {
  /** Packed 4 along the inputs per u32, little end first, zero in outlier columns: (rows, inputs / 4). */
  readonly q: BufferView;
  /** Row scales (rows): x[m, k] ≈ q[m, k] · scale[m] outside of outlier columns. */
  readonly scale: BufferView;
  /** u32 (inputs): before the selection the largest |x| above the threshold, as float bits; after it 1 for outliers, else 0. */
  readonly columns: BufferView;
  /** u32 (1 + MAX_OUTLIER_COLUMNS): how many outlier columns there are, then the columns. */
  readonly outliers: BufferView;
  /** x in the outlier columns (rows, MAX_OUTLIER_COLUMNS), f32, zero behind the last of them. */
  readonly outlierX: BufferView;
}

/** Elements (4 bytes each) of every buffer of QuantizedRows for up to `rows` rows of up to `inputs` values. */
export function quantizedRowsElements(
  rows: number,
  inputs: number,
): { readonly [name in keyof QuantizedRows]: number } {
  return {
    q: rows * Math.ceil(inputs / 4),
    scale: rows,
    columns: inputs,
    outliers: 1 + MAX_OUTLIER_COLUMNS,
    outlierX: rows * MAX_OUTLIER_COLUMNS,
  };
}

/** QuantizedRows on buffers that `alloc` makes, e.g. an arena's. */
export function createQuantizedRows(
  alloc: (label: string, elements: number) => BufferView,
  rows: number,
  inputs: number,
): QuantizedRows {
  const elements = quantizedRowsElements(rows, inputs);
  return {
    q: alloc('int8 activations', elements.q),
    scale: alloc('int8 activation scales', elements.scale),
    columns: alloc('outlier flags', elements.columns),
    outliers: alloc('outlier columns', elements.outliers),
    outlierX: alloc('outlier activations', elements.outlierX),
  };
}
