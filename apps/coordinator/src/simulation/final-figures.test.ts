import type { HeldOutMetrics, RoundSummary, RunState } from '@cotune/fl-core';
import { expect, test } from 'vitest';
import { finalFigures } from './final-figures.ts';

const figures = (lossNats: number): HeldOutMetrics => ({ lossNats, accuracy: 0, rows: 1, labelTokens: 1 });
const START = 'a'.repeat(64);
const FIRST = 'b'.repeat(64);

/** What a run ends with: after each round its adapter, and the figures if it was measured. */
function ended(rounds: readonly (readonly [string, number | null])[], baseline: number | null) {
  const history = rounds.map(
    ([adapterSha256, loss], round) =>
      ({ round, adapterSha256, evaluation: loss === null ? null : figures(loss) }) as RoundSummary,
  );
  const last = rounds.at(-1)?.[0] ?? START;
  const adapter = { url: '', sha256: last, bytes: 0 };
  const state = { history, adapter, baseline: baseline === null ? null : figures(baseline) } as unknown as RunState;
  return { state, startSha256: START, vector: Float32Array.of(1) };
}

test.each([
  ['the last round measured it', ended([[FIRST, 3]], 5), 3],
  [
    'the last round kept what an earlier one had measured',
    ended(
      [
        [FIRST, 3],
        [FIRST, null],
      ],
      5,
    ),
    3,
  ],
  ['every round kept the untuned model', ended([[START, null]], 5), 5],
  [
    'nobody measured it: another adapter’s figures are not its own',
    ended(
      [
        [START, 4],
        [FIRST, null],
      ],
      5,
    ),
    7,
  ],
])('%s', async (_, federated, loss) => {
  expect((await finalFigures(federated, async () => figures(7)))?.lossNats).toBe(loss);
});

test('figures that are not finite are none', async () => {
  expect(await finalFigures(ended([[FIRST, null]], 5), async () => figures(Number.NaN))).toBeNull();
});
