import type { BufferView } from '../gpu/buffers.ts';
import { defineKernel } from '../gpu/kernel.ts';
import { gridFor, type ProgramBuilder } from '../gpu/program.ts';
import dpoWgsl from './dpo.wgsl?raw';
import dpoWeightsWgsl from './dpo_weights.wgsl?raw';

/*
 * Direct Preference Optimisation, Rafailov et al. 2023, arXiv 2305.18290, equation 7. Per pair, with log-probabilities w of
 * the chosen and l of the rejected response:
 *   margin = β·((w − w_ref) − (l − l_ref)),  loss = −log σ(margin),  the batch's loss is the mean over its pairs
 *   d(loss)/d(nats of a chosen row) = β·σ(−margin) / pairs, of a rejected row the negative      (nats = −log p)
 */
export const dpoKernel = defineKernel({
  name: 'dpo',
  wgsl: dpoWgsl,
  params: { pairs: 'u32' },
  buffers: { policy: 'read', reference: 'read', step: 'read', outcome: 'write', weight: 'write' },
});

export const dpoWeightsKernel = defineKernel({
  name: 'dpo_weights',
  wgsl: dpoWeightsWgsl,
  params: { rows: 'u32', sequences: 'u32' },
  buffers: { rowSequence: 'read', weight: 'read', rowWeight: 'write' },
});

/** Columns of the outcome of a pair. */
export const OUTCOME = {
  lossNats: 0,
  /** β·((w − w_ref) − (l − l_ref)): reward of the chosen response less that of the rejected one. */
  margin: 1,
  /** 1 where the margin is above 0, else 0. */
  accurate: 2,
  /** β·(w − w_ref) */
  chosenReward: 3,
} as const;

export const OUTCOME_ELEMENTS = 4;

export interface Dpo {
  /** (pairs, 2): log-probabilities of the chosen and the rejected response; sequence 2·pair and 2·pair + 1. */
  readonly policy: BufferView;
  /** (pairs, 2), by the reference model. */
  readonly reference: BufferView;
  /** STEP values; `beta` and `inversePairs` count. */
  readonly step: BufferView;
  /** (pairs, 4): see OUTCOME. */
  readonly outcome: BufferView;
  /** (pairs): β·σ(−margin)·inversePairs. */
  readonly weight: BufferView;
  readonly pairs: number;
}

/** Loss, margin and accuracy of every pair, and the size of its gradient. Finite for any finite log-probabilities. */
export function dpo(b: ProgramBuilder, { policy, reference, step, outcome, weight, pairs }: Dpo): void {
  b.dispatch(dpoKernel, { policy, reference, step, outcome, weight }, { pairs }, gridFor(pairs, 64));
}

export interface DpoWeights {
  /** u32 (rows): sequence 2·pair is the chosen response, 2·pair + 1 the rejected one; anything larger is none. */
  readonly rowSequence: BufferView;
  /** (pairs), as `dpo` leaves it. */
  readonly weight: BufferView;
  /** (rows): d(loss) / d(nats of the row); 0 where the row has no sequence. */
  readonly rowWeight: BufferView;
  readonly rows: number;
  readonly pairs: number;
}

/** Spreads the pairs' gradient over their label rows, for weightedCrossEntropyBackward. */
export function dpoWeights(b: ProgramBuilder, { rowSequence, weight, rowWeight, rows, pairs }: DpoWeights): void {
  b.dispatch(dpoWeightsKernel, { rowSequence, weight, rowWeight }, { rows, sequences: 2 * pairs }, gridFor(rows, 64));
}
