// What was found fastest for a product on a device. A device that was never tuned has no choices, and the fixed table of
// matmul_variants.ts holds.
import type { Gpu } from '../gpu/device.ts';
import {
  BACKWARD_VARIANTS,
  FORWARD_VARIANTS,
  type MatmulBackwardVariant,
  type MatmulForwardVariant,
} from './matmul_variants.ts';
import type { Matrix } from './matrix.ts';

export type MatmulOp = 'forward' | 'backward';
export type MatmulVariantOf<Op extends MatmulOp> = Op extends 'forward' ? MatmulForwardVariant : MatmulBackwardVariant;
export type MatmulSize = Pick<Matrix, 'dtype' | 'rows' | 'cols'>;

/** Row counts that share a choice: up to 1, 4, 16, 64, 256, and more. */
export function rowsClass(rows: number): number {
  return [1, 4, 16, 64, 256].find((most) => rows <= most) ?? 1024;
}

/** Names a product: op, kind of weights, row class, outputs and inputs. */
export function matmulKey(op: MatmulOp, { dtype, rows: outputs, cols: inputs }: MatmulSize, rows: number): string {
  return `matmul ${op} ${dtype} ${rowsClass(rows)}×${inputs}→${outputs}`;
}

const choices = new WeakMap<Gpu, Map<string, string>>();

/** From now on, programs recorded for this device use the variant for this product. */
export function chooseVariant(gpu: Gpu, key: string, variant: string): void {
  const known = choices.get(gpu) ?? new Map<string, string>();
  choices.set(gpu, known.set(key, variant));
}

/** What was chosen for a product on this device, if anything was. */
export function chosenVariant<Op extends MatmulOp>(
  gpu: Gpu,
  op: Op,
  size: MatmulSize,
  rows: number,
): MatmulVariantOf<Op> | undefined {
  const name = choices.get(gpu)?.get(matmulKey(op, size, rows));
  const table = op === 'forward' ? FORWARD_VARIANTS : BACKWARD_VARIANTS;
  return name !== undefined && name in table ? (name as MatmulVariantOf<Op>) : undefined;
}
