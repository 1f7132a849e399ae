import { describe, expect, it } from 'vitest';
import { expectAllClose, randomValues, unwritten } from '../../test/reference.ts';
import { ADAPTER_KINDS, runOp } from '../../test/run-op.ts';
import { NO_SEQUENCE, sequenceLogProb } from './sequence_log_prob.ts';

describe.each(ADAPTER_KINDS)('sequence_log_prob, variant for %s', (kind) => {
  const run = async (loss: Float32Array<ArrayBuffer>, rowSequence: number[], rows: number, sequences: number) => {
    const buffers = { loss, rowSequence: Uint32Array.from(rowSequence), logProb: unwritten(sequences + 1) };
    const result = await runOp(buffers, (b, views) => sequenceLogProb(b, { ...views, rows, sequences }), kind);
    expect(result.logProb.at(-1)).toBe(unwritten(1)[0]); // nothing beyond the sequences is written
    return result.logProb.subarray(0, sequences);
  };

  it.each([
    [5, 3],
    [7, 64],
    [131, 5],
    [300, 67],
  ])('%i rows of %i sequences', async (rows, sequences) => {
    const loss = randomValues(rows, rows + 3, 5).map(Math.abs);
    // Runs of unequal length, some rows without a sequence, some sequences without a row; three rows more that must not count.
    const of = Array.from({ length: rows + 3 }, (_, row) =>
      row % 7 === 3 ? NO_SEQUENCE : Math.floor((row * sequences) / (rows + 3) / 1.3),
    );
    const expected = new Float64Array(sequences);
    for (let row = 0; row < rows; row++) {
      const sequence = of[row] ?? NO_SEQUENCE;
      if (sequence !== NO_SEQUENCE) expected[sequence] = (expected[sequence] ?? 0) - (loss[row] ?? 0);
    }
    const actual = await run(loss, of, rows, sequences);
    expectAllClose(actual, expected);
    expect(actual.at(-1)).toBe(0);
  });

  it('does not mind the order in which sequences stand', async () => {
    const loss = Float32Array.of(1.5, 2.25, 4, 8.5, 16);
    expect([...(await run(loss, [1, 1, 0, 2, 0], 5, 3))]).toEqual([-20, -3.75, -8.5]);
  });
});
