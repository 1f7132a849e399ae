import { type Segment, segmentsOf } from '../lora/flat-vector.ts';
import type { AdapterLayout } from '../lora/layout.ts';
import { readerElements } from '../lora/vector-reader.ts';
import { OUTCOME_ELEMENTS } from '../ops/dpo.ts';
import { STEP_ELEMENTS } from '../ops/step_values.ts';
import { sumSquaresPartials } from '../ops/sum_squares.ts';

// Everything of a training run besides weights and activations: optimizer.ts, trainer.ts and dpo-pass.ts allocate by these
// tables, plan.ts counts by them.

/** The flat vectors that training an adapter may need, as their buffers are called. */
export const ADAPTER_VECTORS = {
  vector: 'adapter',
  gradient: 'adapter gradient',
  m: 'AdamW m',
  v: 'AdamW v',
  reference: 'reference adapter',
  drift: 'drift',
} as const;
export type AdapterVector = keyof typeof ADAPTER_VECTORS;

/** dpo: the rows hold the responses of preference pairs, both of a pair in one micro-batch. */
export type Task = 'sft' | 'dpo';

/** What a run adds to AdamW's steps; each costs a vector. */
export interface Corrections {
  /** A proximal term μ·(w − w₀) (FedProx). */
  readonly proximal?: boolean | undefined;
  /** A drift, on the gradient or on the weights (SCAFFOLD). */
  readonly drift?: boolean | undefined;
}

/** The vectors that a run holds. */
export function heldVectors({ proximal = false, drift = false }: Corrections): readonly AdapterVector[] {
  const always = ['vector', 'gradient', 'm', 'v'] as const;
  return [...always, ...(proximal ? ['reference' as const] : []), ...(drift ? ['drift' as const] : [])];
}

/** Elements of the optimiser's scratch. */
export function optimizerElements(length: number) {
  return { partials: sumSquaresPartials(length), sumSquares: 1, step: STEP_ELEMENTS } as const;
}

/** Vectors that one read-back brings at most: a snapshot of adapter, m and v. */
export const SNAPSHOT_VECTORS = ['vector', 'm', 'v'] as const satisfies readonly AdapterVector[];

/** What DPO needs for a micro-batch of up to `labelRows` label rows, and as many responses: each has a label at least. */
export function pairElements(labelRows: number) {
  const pairs = Math.ceil(labelRows / 2);
  return {
    policy: labelRows,
    reference: labelRows,
    outcome: pairs * OUTCOME_ELEMENTS,
    weight: pairs,
    rowWeight: labelRows,
  } as const;
}

/** Bytes of these buffers. */
export function pairBytes(labelRows: number): number {
  return Object.values(pairElements(labelRows)).reduce((sum, elements) => sum + 4 * elements, 0);
}

/** Rows that a micro-batch has at least: with pairs one for each response, where both are as long as a row. */
export function leastRows(task: Task): number {
  return task === 'dpo' ? 2 : 1;
}

export interface PlannedBuffer {
  readonly name: string;
  readonly bytes: number;
}

/** The buffers of an adapter in training, where none is larger than `bufferBytes` but for tensors that are. */
export function adapterBuffers(
  layout: AdapterLayout,
  corrections: Corrections,
  bufferBytes: number,
): { readonly optimizer: readonly PlannedBuffer[]; readonly readBack: number } {
  const segments: readonly Segment[] = segmentsOf(layout, bufferBytes);
  const vectors = heldVectors(corrections).flatMap((id) =>
    segments.map(({ length }) => ({ name: ADAPTER_VECTORS[id], bytes: length * 4 })),
  );
  const scratch = Object.entries(optimizerElements(layout.length));
  return {
    optimizer: [...vectors, ...scratch.map(([name, elements]) => ({ name, bytes: elements * 4 }))],
    readBack: 4 * readerElements(layout.length, SNAPSHOT_VECTORS.length),
  };
}
