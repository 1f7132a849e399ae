import { describe, expect, it } from 'vitest';
import { expectAllClose, numericGradient, randomValues, unwritten } from '../../test/reference.ts';
import { runOp } from '../../test/run-op.ts';
import { dpo, dpoWeights, OUTCOME_ELEMENTS } from './dpo.ts';
import { NO_SEQUENCE } from './sequence_log_prob.ts';
import { STEP, STEP_ELEMENTS } from './step_values.ts';

/** float64 −log σ(x) and the outcome of every pair: (pairs, 4). */
const softplus = (x: number) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
function reference(policy: ArrayLike<number>, base: ArrayLike<number>, beta: number): number[][] {
  return Array.from({ length: policy.length / 2 }, (_, pair) => {
    const [chosen = 0, rejected = 0] = [2 * pair, 2 * pair + 1].map((i) => (policy[i] ?? 0) - (base[i] ?? 0));
    const margin = beta * (chosen - rejected);
    return [softplus(-margin), margin, margin > 0 ? 1 : 0, beta * chosen];
  });
}

function stepValues(beta: number, batchPairs: number): Float32Array<ArrayBuffer> {
  const step = randomValues(9, STEP_ELEMENTS);
  step[STEP.beta] = beta;
  step[STEP.inversePairs] = 1 / batchPairs;
  return step;
}

async function run(policy: Float32Array<ArrayBuffer>, base: Float32Array<ArrayBuffer>, beta: number) {
  const pairs = policy.length / 2;
  const batchPairs = pairs + 3;
  const rows = 4 * pairs + 1;
  // Two rows a sequence, one of none, and one of a pair past the last.
  const rowSequence = Uint32Array.from({ length: rows }, (_, row) => (row === 3 ? NO_SEQUENCE : row >> 1));
  const buffers = {
    policy,
    reference: base,
    step: stepValues(beta, batchPairs),
    outcome: unwritten((pairs + 1) * OUTCOME_ELEMENTS),
    weight: unwritten(pairs + 1),
    rowSequence,
    rowWeight: unwritten(rows + 1),
  };
  const result = await runOp(buffers, (b, views) => {
    dpo(b, { ...views, pairs });
    dpoWeights(b, { ...views, rows, pairs });
  });
  for (const written of [result.outcome, result.weight, result.rowWeight]) {
    expect(written.at(-1)).toBe(unwritten(1)[0]); // nothing beyond its end
  }
  const outcome = Array.from({ length: pairs }, (_, pair) => [...result.outcome.subarray(4 * pair, 4 * pair + 4)]);
  return { outcome, rowWeight: result.rowWeight.subarray(0, rows), rowSequence, batchPairs };
}

describe('dpo', () => {
  it.each([1, 3, 67])('gives loss, margin, accuracy and reward of %i pairs, and their gradient', async (pairs) => {
    const policy = randomValues(pairs, 2 * pairs, 8).map((value) => value - 30);
    const base = randomValues(pairs + 1, 2 * pairs, 8).map((value) => value - 30);
    const beta = 0.3;
    const { outcome, rowWeight, rowSequence, batchPairs } = await run(policy, base, beta);
    const expected = reference(policy, base, beta);
    for (let column = 0; column < OUTCOME_ELEMENTS; column++) {
      expectAllClose(
        outcome.map((row) => row[column] ?? Number.NaN),
        expected.map((row) => row[column] ?? Number.NaN),
      );
    }
    const loss = (moved: ArrayLike<number>) =>
      reference(moved, base, beta).reduce((sum, [nats = 0]) => sum + nats, 0) / batchPairs;
    const byLogProb = numericGradient(loss, policy);
    const byRow = Array.from(rowSequence, (sequence) => -(byLogProb[sequence] ?? 0)); // nats = −log p
    expectAllClose(rowWeight, byRow, 5e-6);
  });

  it('is finite and exact for margins of ±1000, and calls a tie no hit', async () => {
    const policy = Float32Array.of(0, -2000, -2000, 0, -7.5, -7.5, -20, -1, -3, -3.00390625);
    const base = Float32Array.of(-500, -1500, -1500, -500, -7.5, -7.5, -1, -20, -3, -3);
    const { outcome, rowWeight, batchPairs } = await run(policy, base, 1);
    const expected = reference(policy, base, 1);
    expect(outcome.map(([, margin]) => margin)).toEqual([1000, -1000, 0, -38, 0.00390625]);
    expect(outcome.map(([, , hit]) => hit)).toEqual([1, 0, 0, 0, 1]);
    outcome.forEach(([loss = Number.NaN], pair) => {
      expect(Math.abs(loss - (expected[pair]?.[0] ?? 0))).toBeLessThan(1e-6 * Math.max(1, expected[pair]?.[0] ?? 0));
    });
    const chosen = [0, 4, 8, 12, 16].map((row) => (rowWeight[row] ?? Number.NaN) * batchPairs);
    expectAllClose(chosen, [0, 1, 0.5, 1, 1 / (1 + Math.exp(0.00390625))], 1e-6);
    expect(rowWeight[2]).toBeCloseTo(0, 20);
    expect(rowWeight[6]).toBe(-(rowWeight[4] ?? 0));
  });

  it('keeps the small losses of pairs that are far apart', async () => {
    const margins = [2, 5, 8, 12, 16, 20, 40];
    const policy = Float32Array.from(margins.flatMap((margin) => [margin - 60, -60]));
    const { outcome } = await run(policy, new Float32Array(policy.length).fill(-60), 1);
    outcome.forEach(([loss = Number.NaN], pair) => {
      expect(Math.abs(loss / softplus(-(margins[pair] ?? 0)) - 1)).toBeLessThan(1e-5);
    });
  });
});
