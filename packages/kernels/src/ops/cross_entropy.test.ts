import { describe, expect, it } from 'vitest';
import { expectAllClose, numericGradient, randomValues, unwritten } from '../../test/reference.ts';
import { ADAPTER_KINDS, runOp } from '../../test/run-op.ts';
import { crossEntropy, NO_LABEL, weightedCrossEntropyBackward } from './cross_entropy.ts';
import { STEP, STEP_ELEMENTS } from './step_values.ts';

/** float64 loss of each row, nats. */
function reference(logits: ArrayLike<number>, labels: readonly number[], vocab: number): number[] {
  return labels.map((label, row) => {
    if (label === NO_LABEL) return 0;
    const values = Array.from({ length: vocab }, (_, i) => logits[row * vocab + i] ?? Number.NaN);
    const largest = Math.max(...values);
    const sum = values.reduce((total, value) => total + Math.exp(value - largest), 0);
    return largest + Math.log(sum) - (values[label] ?? Number.NaN);
  });
}

function stepValues(labelTokens: number): Float32Array<ArrayBuffer> {
  const step = randomValues(9, STEP_ELEMENTS);
  step[STEP.inverseLabelTokens] = 1 / labelTokens;
  return step;
}

/** Every third row's label is its largest logit, every fourth row has none. */
function labelsFor(logits: Float32Array, rows: number, vocab: number): number[] {
  return Array.from({ length: rows }, (_, row) => {
    const values = [...logits.subarray(row * vocab, (row + 1) * vocab)];
    if (row % 4 === 1) return NO_LABEL;
    return row % 3 === 0 ? values.indexOf(Math.max(...values)) : (row * 31) % vocab;
  });
}

const SHAPES: [number, number][] = [
  [5, 64],
  [3, 7],
  [66, 131],
];

describe.each(ADAPTER_KINDS)('cross_entropy, variant for %s', (kind) => {
  const run = (logits: Float32Array<ArrayBuffer>, labels: number[], vocab: number, backward: boolean) => {
    const rows = labels.length;
    const labelTokens = labels.filter((label) => label !== NO_LABEL).length + 2;
    const buffers = {
      logits,
      labels: Uint32Array.from(labels),
      loss: unwritten(rows),
      correct: new Uint32Array(rows).fill(7),
      step: stepValues(labelTokens),
    };
    const record = runOp(buffers, (b, views) => crossEntropy(b, { ...views, rows, vocab, backward }), kind);
    return record.then((result) => ({ ...result, labelTokens }));
  };

  it.each(SHAPES)('loss and hits of (%i, %i)', async (rows, vocab) => {
    const logits = randomValues(1, rows * vocab, 4);
    const labels = labelsFor(logits, rows, vocab);
    const result = await run(logits, labels, vocab, false);
    expectAllClose(result.loss, reference(logits, labels, vocab));
    const hits = labels.map((label, row) => {
      const values = [...logits.subarray(row * vocab, (row + 1) * vocab)];
      return label !== NO_LABEL && values.indexOf(Math.max(...values)) === label ? 1 : 0;
    });
    expect([...result.correct]).toEqual(hits);
    expect(new Set(hits)).toEqual(new Set([0, 1]));
    expect([...result.logits]).toEqual([...logits]);
  });

  it.each(SHAPES)('backward of (%i, %i)', async (rows, vocab) => {
    const logits = randomValues(2, rows * vocab, 3);
    const labels = labelsFor(logits, rows, vocab);
    const result = await run(logits, labels, vocab, true);
    expectAllClose(result.loss, reference(logits, labels, vocab));
    for (let row = 0; row < rows; row++) {
      const values = logits.subarray(row * vocab, (row + 1) * vocab);
      const label = labels[row] ?? NO_LABEL;
      const gradient = numericGradient(
        (moved) => (reference(moved, [label], vocab)[0] ?? 0) / result.labelTokens,
        values,
      );
      expectAllClose(result.logits.subarray(row * vocab, (row + 1) * vocab), gradient, 5e-6);
    }
  });

  it.each(SHAPES)('backward of (%i, %i) with a weight a row', async (rows, vocab) => {
    const logits = randomValues(3, rows * vocab, 3);
    const labels = labelsFor(logits, rows, vocab);
    const weights = randomValues(4, rows).map((weight, row) => (row % 5 === 4 ? 0 : weight));
    const buffers = {
      logits,
      labels: Uint32Array.from(labels),
      loss: unwritten(rows),
      correct: new Uint32Array(rows).fill(7),
      weights,
    };
    const result = await runOp(buffers, (b, views) => weightedCrossEntropyBackward(b, { ...views, rows, vocab }), kind);
    expectAllClose(result.loss, reference(logits, labels, vocab));
    const total = (moved: ArrayLike<number>) =>
      reference(moved, labels, vocab).reduce((sum, nats, row) => sum + (weights[row] ?? 0) * nats, 0);
    if (rows * vocab < 1000) expectAllClose(result.logits, numericGradient(total, logits), 5e-6);
    // With the same weight everywhere it is, bit for bit, the kernel of the mean.
    const mean = await run(logits, labels, vocab, true);
    const same = await runOp(
      { ...buffers, weights: new Float32Array(rows).fill(1 / mean.labelTokens) },
      (b, views) => weightedCrossEntropyBackward(b, { ...views, rows, vocab }),
      kind,
    );
    for (const name of ['logits', 'loss', 'correct'] as const) expect([...same[name]]).toEqual([...mean[name]]);
  });

  it('survives logits of ±1e4 and gives a tie to the lowest id', async () => {
    const logits = Float32Array.of(1e4, -1e4, 3, 1e4, /**/ 5, 8, 8, -2, /**/ 1, 2, 3, 4);
    const result = await run(logits, [0, 1, 4], 4, true);
    expectAllClose(result.loss, reference(logits, [0, 1, NO_LABEL], 4));
    expect([...result.correct]).toEqual([1, 1, 0]);
    expectAllClose(result.logits.subarray(8), [0, 0, 0, 0], 0); // an id outside the vocabulary counts as no label
  });
});
