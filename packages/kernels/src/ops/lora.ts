// LoRA (Hu et al. 2021, arXiv 2106.09685, §4.1): y += scale · drop(x) Aᵀ Bᵀ with A (rank, inputs), B (outputs, rank).
//   forward:  z = drop(x) Aᵀ ;  y += scale · z Bᵀ
//   backward: dB += scale · dyᵀ z ;  dz = scale · dy B ;  dA += dzᵀ drop(x) ;  dx += drop′(dz A)
// Three kernels do all six products: `down` (wide → rank), `up` (rank → wide) and `outer` (a sum over rows); strides tell
// A from B. Each binds one of the matrices and nothing of the adapter's others.
import type { BufferView } from '../gpu/buffers.ts';
import type { Grid, ProgramBuilder } from '../gpu/program.ts';
import { type LoraVariant, loraKernels } from './lora_kernels.ts';
import { STEP } from './step_values.ts';

/** Dropout on the adapter's input. The mask is a function of (seed, salt, element), so backward recomputes it. */
export interface Dropout {
  /** Share of elements that become zero, in [0, 1). The others are multiplied by 1 / (1 − probability). */
  readonly probability: number;
  /** The STEP buffer; its dropoutSeed is read. */
  readonly step: BufferView;
  /** u32, different for every linear of the model. */
  readonly salt: number;
}

/** A matrix of the adapter or of its gradient: what is bound, and the element of that at which the matrix begins. */
export interface AdapterMatrix {
  readonly view: BufferView;
  readonly offset: number;
}

interface LoraShape {
  readonly rows: number;
  readonly inputs: number;
  readonly outputs: number;
  readonly rank: number;
  /** alpha / rank */
  readonly scale: number;
  readonly a: AdapterMatrix; // (rank, inputs)
  readonly b: AdapterMatrix; // (outputs, rank)
  readonly dropout?: Dropout | undefined;
  /** By default the one that suits the adapter. */
  readonly variant?: LoraVariant | undefined;
}

export interface LoraForward extends LoraShape {
  /** (rows, inputs) */
  readonly x: BufferView;
  /** (rows, outputs), added to. */
  readonly y: BufferView;
  /** (rows, rank), overwritten; backward needs it. */
  readonly z: BufferView;
}

/** Records z = drop(x) Aᵀ and y += scale · z Bᵀ. */
export function loraForward(b: ProgramBuilder, op: LoraForward): void {
  const { x, y, z, rows, inputs, outputs, rank, scale } = op;
  const [a, bMatrix] = slices(op);
  const { down, up } = loraKernels(b.gpu, op);
  const { step, params, overrides } = dropoutOf(op.dropout, x);
  const off = dropoutOf(undefined, z);
  b.dispatch(
    down.kernel,
    { x, adapter: a.view, z, step },
    { rows, inputs, rank, offset: a.offset, input_stride: a.wide, rank_stride: a.rank, scale: 1, ...params },
    tiles(rows / down.rows, rank / down.ranks),
    overrides,
    { flops: 2 * rows * rank * inputs },
  );
  b.dispatch(
    up.kernel,
    { z, adapter: bMatrix.view, y, step: off.step },
    {
      rows,
      outputs,
      rank,
      offset: bMatrix.offset,
      output_stride: bMatrix.wide,
      rank_stride: bMatrix.rank,
      scale,
      ...off.params,
    },
    tiles(outputs / up.columns, rows / up.rows),
    {},
    { flops: 2 * rows * rank * outputs },
  );
}

export interface LoraBackward extends LoraShape {
  /** (rows, inputs) */
  readonly x: BufferView;
  /** (rows, rank), as loraForward left it. */
  readonly z: BufferView;
  /** (rows, outputs) */
  readonly dy: BufferView;
  /** (rows, inputs), added to. */
  readonly dx: BufferView;
  /** (rows, rank), scratch, overwritten. */
  readonly dz: BufferView;
  readonly da: AdapterMatrix; // (rank, inputs), added to
  readonly db: AdapterMatrix; // (outputs, rank), added to
}

/** Records dB += scale · dyᵀ z, dz = scale · dy B, dA += dzᵀ drop(x) and dx += drop′(dz A). */
export function loraBackward(b: ProgramBuilder, op: LoraBackward): void {
  const { x, z, dy, dx, dz, da, db, rows, inputs, outputs, rank, scale } = op;
  const [a, bMatrix] = slices(op);
  const { down, up, outer } = loraKernels(b.gpu, op);
  const { step, params, overrides } = dropoutOf(op.dropout, x);
  const off = dropoutOf(undefined, z);
  b.dispatch(
    outer.kernel,
    { wide: dy, narrow: z, grad: db.view, step: off.step },
    {
      ...{ rows, columns: outputs, rank, offset: db.offset, column_stride: bMatrix.wide, rank_stride: bMatrix.rank },
      ...{ scale, ...off.params },
    },
    tiles(outputs / outer.columns, rank / outer.ranks),
    {},
    { flops: 2 * rows * rank * outputs },
  );
  b.dispatch(
    down.kernel,
    { x: dy, adapter: bMatrix.view, z: dz, step: off.step },
    {
      ...{ rows, inputs: outputs, rank, offset: bMatrix.offset, input_stride: bMatrix.wide, rank_stride: bMatrix.rank },
      ...{ scale, ...off.params },
    },
    tiles(rows / down.rows, rank / down.ranks),
    {},
    { flops: 2 * rows * rank * outputs },
  );
  b.dispatch(
    outer.kernel,
    { wide: x, narrow: dz, grad: da.view, step },
    {
      ...{ rows, columns: inputs, rank, offset: da.offset, column_stride: a.wide, rank_stride: a.rank },
      ...{ scale: 1, ...params },
    },
    tiles(inputs / outer.columns, rank / outer.ranks),
    overrides,
    { flops: 2 * rows * rank * inputs },
  );
  b.dispatch(
    up.kernel,
    { z: dz, adapter: a.view, y: dx, step },
    {
      ...{ rows, outputs: inputs, rank, offset: a.offset, output_stride: a.wide, rank_stride: a.rank },
      ...{ scale: 1, ...params },
    },
    tiles(inputs / up.columns, rows / up.rows),
    overrides,
    { flops: 2 * rows * rank * inputs },
  );
}

function tiles(x: number, y: number): Grid {
  return [Math.ceil(x), Math.ceil(y), 1];
}

/** A and B with the element distance of neighbours along the wide side and along the rank; gradients lie alike. */
function slices({ a, b, inputs, rank }: LoraShape) {
  return [
    { ...a, wide: 1, rank: inputs },
    { ...b, wide: rank, rank: 1 },
  ] as const;
}

/** `unused` stands in for the STEP buffer where there is no dropout: every binding must hold something. */
function dropoutOf(dropout: Dropout | undefined, unused: BufferView) {
  if (!dropout || dropout.probability === 0) {
    return { step: unused, params: { salt: 0, threshold: 0, inverse_keep: 1 }, overrides: {} };
  }
  const { probability, step, salt } = dropout;
  return {
    step,
    params: { salt, threshold: dropoutThreshold(probability), inverse_keep: 1 / (1 - probability) },
    overrides: { DROPOUT: 1, SEED_AT: STEP.dropoutSeed },
  };
}

/** A hash below this means: dropped. */
function dropoutThreshold(probability: number): number {
  return Math.min(2 ** 32 - 1, Math.round(probability * 2 ** 32));
}
