import type { Per, Stage, TensorSpec, TensorTable } from './plan-tensors.ts';

/** Rows of every kind that a table of activations holds at most. */
export type Counts = Readonly<Record<Per, number>>;

/** Buffers for a table: `sizes` in 4-byte elements, and for every tensor the buffer that it shares and its own length. */
export interface Slots {
  readonly sizes: readonly number[];
  readonly places: ReadonlyMap<string, { readonly slot: number; readonly elements: number }>;
}

/**
 * Lets tensors that are never live in the same stage share a buffer: each, the largest first, takes the first buffer whose
 * tensors it never meets. Buffers are shared whole, so that no dispatch can meet a neighbour's range. Deterministic.
 */
export function assignSlots(specs: readonly TensorSpec[], counts: Counts): Slots {
  const sizes: number[] = [];
  const taken: Set<Stage>[] = [];
  const places = new Map<string, { slot: number; elements: number }>();
  const wanted = specs.map((spec) => ({ ...spec, elements: spec.width * counts[spec.per] }));
  for (const { name, live, elements } of wanted.toSorted((a, b) => b.elements - a.elements)) {
    let slot = taken.findIndex((stages) => !live.some((stage) => stages.has(stage)));
    if (slot < 0) {
      slot = taken.length;
      sizes.push(elements);
      taken.push(new Set());
    }
    for (const stage of live) taken[slot]?.add(stage);
    places.set(name, { slot, elements });
  }
  return { sizes, places };
}

/** Elements of every tensor that each layer has of its own. */
export function keptElements(table: TensorTable, counts: Counts): ReadonlyMap<string, number> {
  return new Map(table.kept.map(({ name, width, per }) => [name, width * counts[per]]));
}
