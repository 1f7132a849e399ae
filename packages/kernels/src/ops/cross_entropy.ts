import type { BufferView } from '../gpu/buffers.ts';
import { defineKernel } from '../gpu/kernel.ts';
import type { ProgramBuilder } from '../gpu/program.ts';
import crossEntropyWgsl from './cross_entropy.wgsl?raw';
import meanWgsl from './cross_entropy_mean.wgsl?raw';
import rowsWgsl from './cross_entropy_rows.wgsl?raw';
import { rowDispatch } from './row_lanes.ts';
import rowReduceWgsl from './row_reduce.wgsl?raw';

/*
 * Softmax cross-entropy, fused with its gradient. Per row with label y:
 *   m = max x,  loss = log Σ exp(x − m) + (m − x[y])
 *   dx = (softmax(x) − onehot(y)) · c        c = STEP.inverseLabelTokens (the mean over the whole batch), or one a row
 */
const params = { rows: 'u32', vocab: 'u32' } as const;
const buffers = { logits: 'write', labels: 'read', loss: 'write', correct: 'write' } as const;

export const crossEntropyKernel = defineKernel({
  name: 'cross_entropy',
  wgsl: crossEntropyWgsl + meanWgsl + rowReduceWgsl,
  params,
  buffers: { ...buffers, step: 'read' },
});

export const weightedCrossEntropyKernel = defineKernel({
  name: 'cross_entropy_weighted',
  entry: 'cross_entropy',
  wgsl: crossEntropyWgsl + rowsWgsl + rowReduceWgsl,
  params,
  buffers: { ...buffers, weights: 'read' },
});

/** A label that stands for "no loss here". */
export const NO_LABEL = 0xffffffff;

interface CrossEntropyRows {
  /** (rows, vocab); with `backward` overwritten by dlogits, otherwise left alone. */
  readonly logits: BufferView;
  /** u32 (rows); NO_LABEL, like any id ≥ vocab, gives loss 0, correct 0 and dlogits 0. */
  readonly labels: BufferView;
  /** (rows), nats. */
  readonly loss: BufferView;
  /** u32 (rows): 1 where the label is the argmax (the lowest id wins a tie). */
  readonly correct: BufferView;
  readonly rows: number;
  readonly vocab: number;
}

export interface CrossEntropy extends CrossEntropyRows {
  /** STEP values; `inverseLabelTokens` scales the gradient. */
  readonly step: BufferView;
  readonly backward: boolean;
}

/** Loss and hits of every row, and with `backward` the gradient in place of the logits. */
export function crossEntropy(b: ProgramBuilder, options: CrossEntropy): void {
  const { logits, labels, loss, correct, step, rows, vocab } = options;
  const { grid, overrides } = rowDispatch(b.gpu, rows);
  const constants = { ...overrides, BACKWARD: options.backward ? 1 : 0 };
  b.dispatch(crossEntropyKernel, { logits, labels, loss, correct, step }, { rows, vocab }, grid, constants);
}

export interface WeightedCrossEntropy extends CrossEntropyRows {
  /** (rows): d(total loss) / d(nats of the row). */
  readonly weights: BufferView;
}

/** Loss and hits of every row as above, and in place of the logits the gradient of Σ weights[row] · loss[row]. */
export function weightedCrossEntropyBackward(b: ProgramBuilder, options: WeightedCrossEntropy): void {
  const { logits, labels, loss, correct, weights, rows, vocab } = options;
  const { grid, overrides } = rowDispatch(b.gpu, rows);
  const views = { logits, labels, loss, correct, weights };
  b.dispatch(weightedCrossEntropyKernel, views, { rows, vocab }, grid, { ...overrides, BACKWARD: 1 });
}
