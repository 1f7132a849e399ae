import type { BufferView } from '../gpu/buffers.ts';
import { defineKernel } from '../gpu/kernel.ts';
import type { ProgramBuilder } from '../gpu/program.ts';
import { rowDispatch } from './row_lanes.ts';
import rowReduceWgsl from './row_reduce.wgsl?raw';
import sequenceLogProbWgsl from './sequence_log_prob.wgsl?raw';

/*
 * log π(y | x) of whole responses: logProb[s] = −Σ loss[row] over the rows with rowSequence[row] = s. No atomics: each sum is
 * made by one thread, or one workgroup's tree, always in the same order. Its gradient is spread by dpo.ts: every row of a
 * sequence gets −d/d(logProb).
 */
export const sequenceLogProbKernel = defineKernel({
  name: 'sequence_log_prob',
  wgsl: sequenceLogProbWgsl + rowReduceWgsl,
  params: { rows: 'u32', sequences: 'u32' },
  buffers: { loss: 'read', rowSequence: 'read', logProb: 'write' },
});

/** A row that belongs to no sequence. */
export const NO_SEQUENCE = 0xffffffff;

export interface SequenceLogProb {
  /** (rows): nats of each label, as crossEntropy leaves them. */
  readonly loss: BufferView;
  /** u32 (rows): the sequence each label belongs to, or NO_SEQUENCE. */
  readonly rowSequence: BufferView;
  /** (sequences): sums of log-probabilities, ≤ 0; 0 where no row names the sequence. */
  readonly logProb: BufferView;
  readonly rows: number;
  readonly sequences: number;
}

/** Log-probability of every sequence's labels together. */
export function sequenceLogProb(b: ProgramBuilder, options: SequenceLogProb): void {
  const { loss, rowSequence, logProb, rows, sequences } = options;
  const { grid, overrides } = rowDispatch(b.gpu, sequences);
  b.dispatch(sequenceLogProbKernel, { loss, rowSequence, logProb }, { rows, sequences }, grid, overrides);
}
