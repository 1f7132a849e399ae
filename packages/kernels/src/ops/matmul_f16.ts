// The frozen linear of matmul.ts with f16 inputs and f32 sums. Activations are rounded to f16 as they are loaded (beyond
// ±65504 to that); int8 weights are exact in f16, and their scales stay in f32 outside of the forward product:
//   y[m, n]  = s[n] · Σ_k f16(x[m, k]) · q[n, k]
//   dx[m, k] = 2^−e[m] · Σ_n f16(2^e[m] · dy[m, n] · s[n]) · q[n, k]
// Gradients of a mean loss lie below what f16 can hold, so each row is first brought into range by a power of two 2^e[m]
// (the scaling of Micikevicius et al. 2018, arXiv 1710.03740, §3.2, a row at a time and without a guess).
import type { BufferView } from '../gpu/buffers.ts';
import type { Gpu } from '../gpu/device.ts';
import { GpuError } from '../gpu/error.ts';
import { defineKernel, type Kernel } from '../gpu/kernel.ts';
import { rowPieces } from '../gpu/pace.ts';
import type { Grid, ProgramBuilder } from '../gpu/program.ts';
import multiplyWgsl from './matmul_f16.wgsl?raw';
import exponentWgsl from './matmul_f16_exponent.wgsl?raw';
import { defineHalfKernels, type HalfKernels, weightBuffers } from './matmul_f16_kernels.ts';
import type { Matrix } from './matrix.ts';
import { rowsOf } from './matrix_rows.ts';
import { rowDispatch } from './row_lanes.ts';
import rowReduceWgsl from './row_reduce.wgsl?raw';

const kernels = defineHalfKernels({
  name: 'matmul_f16',
  enables: 'enable f16;\n',
  multiply: multiplyWgsl,
  constants: { TILE: 4, DEPTH: 32 },
  features: ['shader-f16'],
});
/** Rows and columns of the output that one workgroup makes, with every kernel of HalfKernels. */
const SIDE = 64;

const exponentInt8 = defineKernel({
  name: 'matmul_f16_exponent_int8',
  entry: 'matmul_f16_exponent',
  wgsl: `${exponentWgsl}${rowReduceWgsl}
@group(0) @binding(3) var<storage, read> scale: array<f32>;  // (outputs)
fn weight_scale(row: u32) -> f32 { return scale[row]; }
`,
  params: { rows: 'u32', outputs: 'u32' },
  buffers: { dy: 'read', exponent: 'write', scale: 'read' },
});
const exponentF32 = defineKernel({
  name: 'matmul_f16_exponent_f32',
  entry: 'matmul_f16_exponent',
  wgsl: `${exponentWgsl}${rowReduceWgsl}
fn weight_scale(row: u32) -> f32 { return 1.0; }
`,
  params: { rows: 'u32', outputs: 'u32' },
  buffers: { dy: 'read', exponent: 'write' },
});

/** Whether this device computes in f16 at all. */
export function hasF16({ device }: Pick<Gpu, 'device'>): boolean {
  return device.features.has('shader-f16');
}

export interface MatmulForwardF16 {
  /** (rows, inputs) f32 */
  readonly x: BufferView;
  /** (outputs, inputs); inputs a multiple of 4. */
  readonly w: Matrix;
  /** (rows, outputs) f32, overwritten. */
  readonly y: BufferView;
  readonly rows: number;
}

/** Records y = x·Wᵀ. Throws GpuError 'limit' without `shader-f16`, 'validation' when W's columns are no multiple of 4. */
export function matmulForwardF16(b: ProgramBuilder, op: MatmulForwardF16): void {
  requireF16(b.gpu);
  recordHalfForward(b, kernels, op);
}

export interface MatmulBackwardF16 {
  /** (rows, outputs) f32 */
  readonly dy: BufferView;
  /** (outputs, inputs); inputs a multiple of 4. */
  readonly w: Matrix;
  /** (rows, inputs) f32 */
  readonly dx: BufferView;
  readonly rows: number;
  /** Adds to dx instead of overwriting it. */
  readonly accumulate: boolean;
  /** Scratch (rows) f32, overwritten: the exponents of the rows of dy. */
  readonly exponent: BufferView;
}

/** Records dx (+)= dy·W. Throws GpuError 'limit' without `shader-f16`, 'validation' when W's columns are no multiple of 4. */
export function matmulBackwardF16(b: ProgramBuilder, op: MatmulBackwardF16): void {
  requireF16(b.gpu);
  recordHalfBackward(b, kernels, op);
}

function requireF16(gpu: Gpu): void {
  if (hasF16(gpu)) return;
  throw new GpuError('limit', 'f16 matmuls need the WebGPU feature shader-f16, which this device lacks: use f32');
}

/** The forward product with any way to multiply f16 tiles. */
export function recordHalfForward(b: ProgramBuilder, { forward }: HalfKernels, op: MatmulForwardF16): void {
  const { x, w, y, rows } = op;
  const kernel = forward[w.dtype] as unknown as Kernel;
  for (const { start, count } of rowPieces(b.gpu, rows, 2 * w.rows * w.cols)) {
    const buffers = {
      x: rowsOf(x, start, count, w.cols),
      y: rowsOf(y, start, count, w.rows),
      ...weightBuffers(w),
    };
    const params = { rows: count, input_quads: inputQuads(w), outputs: w.rows };
    b.dispatch(kernel, buffers, params, tileGrid(w.rows, count), {}, { flops: 2 * count * w.rows * w.cols });
  }
}

/** The backward product with any way to multiply f16 tiles. */
export function recordHalfBackward(b: ProgramBuilder, { backward }: HalfKernels, op: MatmulBackwardF16): void {
  const { dy, w, dx, rows, accumulate, exponent } = op;
  const { grid, overrides } = rowDispatch(b.gpu, rows);
  const sizes = { rows, outputs: w.rows };
  if (w.dtype === 'int8') b.dispatch(exponentInt8, { dy, exponent, scale: w.scale }, sizes, grid, overrides);
  else b.dispatch(exponentF32, { dy, exponent }, sizes, grid, overrides);
  const kernel = backward[w.dtype] as unknown as Kernel;
  for (const { start, count } of rowPieces(b.gpu, rows, 2 * w.rows * w.cols)) {
    const buffers = {
      dy: rowsOf(dy, start, count, w.rows),
      exponent: rowsOf(exponent, start, count, 1),
      dx: rowsOf(dx, start, count, w.cols),
      ...weightBuffers(w),
    };
    const params = { rows: count, input_quads: inputQuads(w), outputs: w.rows, accumulate: accumulate ? 1 : 0 };
    b.dispatch(kernel, buffers, params, tileGrid(w.cols, count), {}, { flops: 2 * count * w.rows * w.cols });
  }
}

function tileGrid(columns: number, rows: number): Grid {
  return [Math.ceil(columns / SIDE), Math.ceil(rows / SIDE), 1];
}

function inputQuads(w: Matrix): number {
  if (w.cols % 4 !== 0) {
    throw new GpuError('validation', `matmul: got a matrix of ${w.rows}×${w.cols}, expected columns in multiples of 4`);
  }
  return w.cols / 4;
}
