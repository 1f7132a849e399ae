// The products of matmul_f16.ts on an adapter's matrix units ("tensor cores"): f16 inputs, f32 sums, by the experimental
// WGSL extension chromium_experimental_subgroup_matrix (proposal: gpuweb/proposals/subgroup-matrix.md). Browsers do not offer
// it by default; Dawn does in Node where the driver has VK_KHR_cooperative_matrix. The WGSL is validated by Dawn's null
// backend in the test; the kernels have not been run on hardware, where the parity test and `checkPrecision` come first.
import type { Gpu } from '../gpu/device.ts';
import type { ProgramBuilder } from '../gpu/program.ts';
import { type MatmulBackwardF16, type MatmulForwardF16, recordHalfBackward, recordHalfForward } from './matmul_f16.ts';
import { defineHalfKernels, type HalfKernels } from './matmul_f16_kernels.ts';
import multiplyWgsl from './matmul_subgroup.wgsl?raw';

export const SUBGROUP_MATRIX = 'chromium-experimental-subgroup-matrix' as GPUFeatureName;

/** An entry of `GPUAdapterInfo.subgroupMatrixConfigs`: (M, K) · (K, N) of components gives (M, N) of results. */
export interface SubgroupMatrixConfig {
  readonly componentType: string;
  readonly resultType: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/** What the kernels are specialised by. */
export interface MatrixUnit extends SubgroupMatrixConfig {
  /** Threads of every subgroup. */
  readonly subgroupSize: number;
}

const DEPTH = 32;
/** Rows and columns of a subgroup's share of the tile. */
const SHARE = 32;
/** Workgroup memory of matmul_subgroup.wgsl: two tiles of 64 padded rows in f16, and a matrix of sums for each subgroup. */
const workgroupBytes = (M: number, N: number): number => 2 * 64 * (DEPTH + 8) * 2 + 4 * M * N * 4;

/**
 * The matrix unit that the kernels can use on this device: f16 to f32, of sizes that divide the tile, with subgroups of one
 * size (the kernels rely on four a workgroup). Null where there is none.
 */
export function matrixUnit({ device }: Pick<Gpu, 'device'>): MatrixUnit | null {
  if (!device.features.has(SUBGROUP_MATRIX) || !device.features.has('shader-f16')) return null;
  const info = device.adapterInfo as GPUAdapterInfo & {
    readonly subgroupMatrixConfigs?: readonly SubgroupMatrixConfig[];
  };
  const { subgroupMinSize: least, subgroupMaxSize: subgroupSize } = info;
  if (least !== subgroupSize || 4 * subgroupSize > device.limits.maxComputeInvocationsPerWorkgroup) return null;
  const fitting = [...(info.subgroupMatrixConfigs ?? [])].filter(
    ({ componentType, resultType, M, N, K }) =>
      componentType === 'f16' &&
      resultType === 'f32' &&
      SHARE % M === 0 &&
      SHARE % N === 0 &&
      DEPTH % K === 0 &&
      workgroupBytes(M, N) <= device.limits.maxComputeWorkgroupStorageSize,
  );
  const [largest] = fitting.toSorted((a, b) => b.M * b.N * b.K - a.M * a.N * a.K);
  if (!largest) return null;
  const { componentType, resultType, M, N, K } = largest;
  return { componentType, resultType, M, N, K, subgroupSize };
}

const made = new Map<string, HalfKernels>();

/** The kernels for one matrix unit, defined once. */
export function subgroupKernels({ M, N, K, subgroupSize }: MatrixUnit): HalfKernels {
  const key = [M, N, K, subgroupSize].join(' ');
  const kernels =
    made.get(key) ??
    defineHalfKernels({
      name: 'matmul_subgroup',
      enables: 'enable f16;\nenable subgroups;\nenable chromium_experimental_subgroup_matrix;\n',
      multiply: multiplyWgsl,
      constants: {
        ...{ M, N, K, DEPTH, SUBGROUP: subgroupSize },
        ...{ MATRIX_ROWS: SHARE / M, MATRIX_COLUMNS: SHARE / N, STEPS: DEPTH / K },
      },
      features: ['shader-f16', 'subgroups', SUBGROUP_MATRIX],
    });
  made.set(key, kernels);
  return kernels;
}

/** Records y = x·Wᵀ on the matrix unit that `matrixUnit` found on this device. */
export function matmulForwardSubgroup(b: ProgramBuilder, unit: MatrixUnit, op: MatmulForwardF16): void {
  recordHalfForward(b, subgroupKernels(unit), op);
}

/** Records dx (+)= dy·W on the matrix unit that `matrixUnit` found on this device. */
export function matmulBackwardSubgroup(b: ProgramBuilder, unit: MatrixUnit, op: MatmulBackwardF16): void {
  recordHalfBackward(b, subgroupKernels(unit), op);
}
