// Activations in whole numbers for `dot4I8Packed`, after LLM.int8 (Dettmers et al. 2022, arXiv 2208.07339, §3): one scale a
// row (token),
//   scale[m] = max_k |x[m, k]| / largest ;  q[m, k] = round(x[m, k] / scale[m])
// over all columns but the outliers, the columns with an |x| > 6 anywhere in the batch: one such value would leave its whole
// row a few steps. Outlier columns are zero in q and keep their f32 values beside it. They are found on the GPU, without
// read-back. Where more columns than MAX_OUTLIER_COLUMNS pass the threshold, those with the largest |x| are the outliers and
// the others go into q like everything else: their rows get a larger scale, and nothing is clipped.
// One plane is int8, with 127 for the largest. Two planes are 16 bits for twice the products, q = 256 · high + low, both
// int8: with low in [−128, 127] the largest whose high stays within ±127 is 127 · 256 + 127.
import type { BufferView } from '../gpu/buffers.ts';
import { defineKernel } from '../gpu/kernel.ts';
import { gridFor, type ProgramBuilder } from '../gpu/program.ts';
import quantizeWgsl from './quantize_activations.wgsl?raw';
import scanWgsl from './quantize_activations_scan.wgsl?raw';
import selectWgsl from './quantize_activations_select.wgsl?raw';
import { rowDispatch } from './row_lanes.ts';
import rowReduceWgsl from './row_reduce.wgsl?raw';

/** Most columns that are taken out of the int8 activations; see above. */
export const MAX_OUTLIER_COLUMNS = 32;

/** |x| above which a column is an outlier, from LLM.int8 §3.2. */
export const OUTLIER_THRESHOLD = 6;

/** Int8 numbers that an activation is made of: 1 is 8 bits, 2 is 16. */
export type ActivationPlanes = 1 | 2;

/** |q| of the largest activation of a row. */
export const LARGEST_Q = { 1: 127, 2: 127 * 256 + 127 } as const satisfies Record<ActivationPlanes, number>;

/** Activations x (rows, inputs) in int8 planes with their outlier columns beside them; scratch, overwritten by every use. */
export interface QuantizedRows {
  readonly planes: ActivationPlanes;
  /** Packed 4 along the inputs per u32, little end first, zero in outlier columns: (rows, planes, inputs / 4), high first. */
  readonly q: BufferView;
  /** Row scales (rows): x[m, k] ≈ (256 · high + low) · scale[m], with one plane q · scale, outside of outlier columns. */
  readonly scale: BufferView;
  /** u32 (inputs), 1 for outlier columns. */
  readonly columns: BufferView;
  /** u32 (1 + MAX_OUTLIER_COLUMNS): how many outlier columns there are, then the columns, the largest first. */
  readonly outliers: BufferView;
  /** x in the outlier columns (rows, MAX_OUTLIER_COLUMNS), f32, zero behind the last of them. */
  readonly outlierX: BufferView;
}

export type QuantizedBuffer = Exclude<keyof QuantizedRows, 'planes'>;

/** Elements (4 bytes each) of every buffer of QuantizedRows for up to `rows` rows of up to `inputs` values. */
export function quantizedRowsElements(
  rows: number,
  inputs: number,
  planes: ActivationPlanes,
): { readonly [name in QuantizedBuffer]: number } {
  return {
    q: rows * planes * Math.ceil(inputs / 4),
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
  planes: ActivationPlanes,
): QuantizedRows {
  const elements = quantizedRowsElements(rows, inputs, planes);
  return {
    planes,
    q: alloc('int8 activations', elements.q),
    scale: alloc('int8 activation scales', elements.scale),
    columns: alloc('outlier flags', elements.columns),
    outliers: alloc('outlier columns', elements.outliers),
    outlierX: alloc('outlier activations', elements.outlierX),
  };
}

const scan = defineKernel({
  name: 'quantize_activations_scan',
  wgsl: scanWgsl,
  params: { quads: 'u32', input_quads: 'u32', threshold: 'f32' },
  buffers: { x: 'read', columns: 'write' },
});
/** Quads of one workgroup of the scan: 64 threads, 4 each. */
const SCAN_QUADS = 256;

const select = defineKernel({
  name: 'quantize_activations_select',
  wgsl: selectWgsl,
  params: { inputs: 'u32', limit: 'u32', threshold: 'f32' },
  buffers: { columns: 'write', outliers: 'write' },
});
/** Threads of the selection: 256 are WebGPU's default limit; on a CPU one does it without barriers. */
const SELECT_LANES = { hardware: 256, llvmpipe: 1, swiftshader: 1 } as const;

const quantize = defineKernel({
  name: 'quantize_activations',
  wgsl: quantizeWgsl + rowReduceWgsl,
  params: { rows: 'u32', input_quads: 'u32', limit: 'u32' },
  buffers: { x: 'read', columns: 'read', outliers: 'read', q: 'write', scale: 'write', outlier_x: 'write' },
});

export interface QuantizeActivations {
  /** (rows, inputs) */
  readonly x: BufferView;
  /** Overwritten; its buffers hold at least quantizedRowsElements(rows, inputs, its planes). */
  readonly quantized: QuantizedRows;
  readonly rows: number;
  /** A multiple of 4. */
  readonly inputs: number;
  /** Columns with a larger |x| are outliers. Default OUTLIER_THRESHOLD; Infinity for none. */
  readonly threshold?: number | undefined;
}

/** Records x → rows of whole numbers in int8 planes, their scales and outlier columns. */
export function quantizeActivations(b: ProgramBuilder, options: QuantizeActivations): void {
  const { x, quantized, rows, inputs, threshold = OUTLIER_THRESHOLD } = options;
  const { q, scale, columns, outliers, outlierX, planes } = quantized;
  const quads = inputs / 4;
  const limit = MAX_OUTLIER_COLUMNS;
  b.clear({ ...columns, size: inputs * 4 });
  const scanned = { quads: rows * quads, input_quads: quads, threshold };
  b.dispatch(scan, { x, columns }, scanned, gridFor(rows * quads, SCAN_QUADS));
  const lanes = { LANES: SELECT_LANES[b.gpu.adapter.kind] };
  b.dispatch(select, { columns, outliers }, { inputs, limit, threshold }, [1, 1, 1], lanes);
  const { grid, overrides } = rowDispatch(b.gpu, rows);
  const buffers = { x, columns, outliers, q, scale, outlier_x: outlierX };
  const made = { ...overrides, PLANES: planes, LARGEST: LARGEST_Q[planes] };
  b.dispatch(quantize, buffers, { rows, input_quads: quads, limit }, grid, made);
}
