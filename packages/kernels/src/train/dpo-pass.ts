import { type BufferView, createArena } from '../gpu/buffers.ts';
import type { Gpu } from '../gpu/device.ts';
import { recordBackward } from '../llama/backward.ts';
import { type Pass, recordForward } from '../llama/forward.ts';
import { recordLoss, recordWeightedGradient } from '../llama/head.ts';
import { pairElements } from '../llama/plan-adapter.ts';
import { dpo, dpoWeights } from '../ops/dpo.ts';
import { sequenceLogProb } from '../ops/sequence_log_prob.ts';
import { labelBucket, type PaddedBatch } from './batch.ts';

/**
 * 'reference' leaves the base model's log-probabilities, adapter off; 'train pairs' and 'evaluate pairs' want a reference
 * there. 'policy' leaves the adapted model's, without dropout; 'train pairs' leaves outcomes and gradients, with dropout;
 * 'evaluate pairs' leaves outcomes, without.
 */
export type PairPassKind = 'reference' | 'policy' | 'train pairs' | 'evaluate pairs';

/** What a micro-batch of pairs needs besides activations; example 2i is the chosen response of pair i, 2i + 1 the rejected one. */
export interface PairBuffers {
  readonly policy: BufferView; // (sequences) log-probabilities
  readonly reference: BufferView; // (sequences) log-probabilities
  readonly outcome: BufferView; // (pairs, OUTCOME_ELEMENTS)
  readonly weight: BufferView; // (pairs)
  readonly rowWeight: BufferView; // (labelRows)
  /** Label rows that fit, and as many sequences: each has a label at least. */
  readonly labelRows: number;
  readonly bytes: number;
  destroy(): void;
}

export function createPairBuffers(gpu: Gpu, labelRows: number): PairBuffers {
  const arena = createArena(gpu.device);
  const elements = pairElements(labelRows);
  return {
    policy: arena.alloc('policy log-probabilities', elements.policy),
    reference: arena.alloc('reference log-probabilities', elements.reference),
    outcome: arena.alloc('outcomes of pairs', elements.outcome),
    weight: arena.alloc('gradient weights of pairs', elements.weight),
    rowWeight: arena.alloc('gradient weights of label rows', elements.rowWeight),
    labelRows,
    bytes: arena.bytes,
    destroy: () => arena.destroy(),
  };
}

/** Sequences that a recorded pass over this micro-batch takes: few sizes, and an even number. */
export function recordedSequences({ examples }: Pick<PaddedBatch, 'examples'>): number {
  return labelBucket(examples.length);
}

/**
 * Records a whole pass over `sequences` responses. The gradient of every label row depends on its pair's log-probabilities,
 * so all logits are seen before the first gradient: the head runs forward over all chunks, then backward over them.
 */
export function recordPairPass(
  kind: PairPassKind,
  pass: Pass,
  step: BufferView,
  { policy, reference, outcome, weight, rowWeight }: PairBuffers,
  sequences: number,
): void {
  const { b, acts, shape } = pass;
  const rows = shape.labelRows;
  const pairs = sequences / 2;
  recordForward(pass);
  recordLoss(pass, step, false);
  const logProb = kind === 'reference' ? reference : policy;
  sequenceLogProb(b, { loss: acts.loss, rowSequence: acts.labelExample, logProb, rows, sequences });
  if (kind === 'reference' || kind === 'policy') return;
  dpo(b, { policy, reference, step, outcome, weight, pairs });
  if (kind === 'evaluate pairs') return;
  dpoWeights(b, { rowSequence: acts.labelExample, weight, rowWeight, rows, pairs });
  recordWeightedGradient(pass, rowWeight);
  recordBackward(pass);
}
