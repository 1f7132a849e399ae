import type { Gpu } from '../gpu/device.ts';
import type { WeightKernels } from './matmul_weights.ts';

/** Rows and columns of the output (elements) that one workgroup makes. */
export interface Tile {
  readonly rows: number;
  readonly columns: number;
}

/** One way to compute the product, and where it can be used. */
export interface MatmulVariant<Kernels> extends Tile {
  readonly kernels: Kernels;
  /** Of the kernel that loads 16 weights at once, where it is another tile. */
  readonly words?: Tile;
  /** Made for this kind of processor; the autotuner tries no other. */
  readonly made: 'software' | 'hardware';
  /** More rows than this it computes needlessly slowly. */
  readonly maxRows?: number;
  /** Whether this device can run it. */
  supports(gpu: Gpu): boolean;
}

/** What every kernel of the forward product is called with. */
export const forwardOp = {
  params: { rows: 'u32', input_quads: 'u32', outputs: 'u32' },
  input: 'x',
  output: 'y',
} as const;
export const backwardOp = {
  params: { rows: 'u32', input_quads: 'u32', outputs: 'u32', accumulate: 'u32' },
  input: 'dy',
  output: 'dx',
} as const;
type ForwardKernels = WeightKernels<(typeof forwardOp)['params'], 'x', 'y'>;
type BackwardKernels = WeightKernels<(typeof backwardOp)['params'], 'dy', 'dx'>;
export type Forward = MatmulVariant<ForwardKernels>;
export type Backward = MatmulVariant<BackwardKernels>;
