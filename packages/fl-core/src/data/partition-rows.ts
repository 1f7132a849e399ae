import { FlError } from '../error.ts';
import { createRng } from '../rng.ts';

/** What a split is decided by, beside its settings. */
export interface PartitionInput {
  /** The class of every row. */
  readonly labels: readonly string[];
  /** The value of the owner's column of every row; needed by `column` alone. */
  readonly column?: readonly string[] | undefined;
  readonly clients: number;
  readonly seed: number | string;
}

/** Row numbers in the order that the seed decides. */
export function shuffledRows({ labels, seed }: Pick<PartitionInput, 'labels' | 'seed'>): number[] {
  return createRng(`${seed}/partition`).shuffle(labels.map((_, row) => row));
}

export function emptyParts(clients: number): number[][] {
  return Array.from({ length: clients }, (): number[] => []);
}

/** Rows under their value, values in sorted order and each value's rows in the order given. */
export function rowsByValue(order: readonly number[], values: readonly string[]): Map<string, number[]> {
  const groups = new Map<string, number[]>();
  for (const value of [...new Set(values)].sort()) groups.set(value, []);
  for (const row of order) groups.get(values[row] ?? '')?.push(row);
  return groups;
}

/** Clients get their rows label by label; training order is to say nothing about labels. */
export function mixed(parts: readonly (readonly number[])[], seed: number | string): number[][] {
  const rng = createRng(`${seed}/partition-order`);
  return parts.map((part) => rng.shuffle(part));
}

/**
 * Splits by label need classes: rows whose texts are nearly all different would come out as if dealt at random. Throws
 * FlError 'invalid' when labels occur less than twice on average.
 */
export function requireClasses(kind: string, labels: readonly string[]): void {
  const different = new Set(labels).size;
  if (different * 2 <= labels.length) return;
  throw new FlError(
    'invalid',
    `partition ${kind}: ${labels.length} rows have ${different} different labels, expected classes that recur: split them ` +
      'another way, for instance iid, quantity or by a column',
  );
}
