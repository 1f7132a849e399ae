import type { AdapterKind, Gpu } from '../gpu/device.ts';
import { type Grid, gridFor } from '../gpu/program.ts';

/** Threads of a workgroup in every kernel that reduces over rows (`row_reduce.wgsl`). */
const WORKGROUP = 64;

/** Threads that share one row: barriers cost more than they save where threads are emulated on a CPU. */
const LANES = { hardware: 64, llvmpipe: 1, swiftshader: 1 } as const satisfies Record<AdapterKind, number>;

/** Grid and overrides of a row kernel over `rows` rows, a thread or a workgroup a row as suits the adapter. */
export function rowDispatch(gpu: Gpu, rows: number): { readonly grid: Grid; readonly overrides: { LANES: number } } {
  const lanes = LANES[gpu.adapter.kind];
  return { grid: gridFor(rows, WORKGROUP / lanes), overrides: { LANES: lanes } };
}
