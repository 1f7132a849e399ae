import type { SequenceScore } from '@cotune/kernels';
import { expect, it } from 'vitest';
import type { ClassSet } from './class-set.ts';
import { classMetrics } from './classify.ts';

const example = (token: number) => ({ inputIds: [1, token, 2], labels: [-100, token, 2] });
const score = (logProb: number, probe: number): SequenceScore => ({
  logProb,
  tokenLogProbs: [logProb / 2, logProb / 2],
  probeLogProbs: [probe],
  exact: false,
});

/** Rows of two classes, the second one right; `others` is what the first has in full. */
async function predictedRight(right: number, probe: number, other: number): Promise<boolean> {
  const candidates = [
    { example: example(10), parting: { at: 1, token: 10 } },
    { example: example(11), parting: null },
  ];
  const set: ClassSet = { names: ['a', 'b'], rows: [{ example: 0, truth: 1, candidates }] };
  const { accuracy } = await classMetrics({ sequenceScores: async () => [score(other, 0)] }, set, [
    score(right, probe),
  ]);
  return accuracy === 1;
}

it('takes the first class of equals, and of none that is a number', async () => {
  expect(await predictedRight(-2, -1, -2.5)).toBe(true);
  expect(await predictedRight(-2, -1, -1.5)).toBe(false);
  expect(await predictedRight(-2, -1, -2)).toBe(false); // equal, and "a" comes first
  expect(await predictedRight(Number.NaN, Number.NaN, Number.NaN)).toBe(false);
  expect(await predictedRight(-2, -1, Number.NaN)).toBe(true);
  expect(await predictedRight(Number.NaN, Number.NaN, -5)).toBe(false);
});
