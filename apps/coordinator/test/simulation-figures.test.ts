import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { METRICS_FILE, roundRecord } from '../src/simulation/records.ts';
import { root, simulate } from './simulation.test-support.ts';

vi.setConfig({ testTimeout: 120_000 });

test('where the model is kept in every round, the figures are those of the model that was kept', async () => {
  const { results, failed } = await simulate('kept', {
    clients: 2,
    data: { train: [{ from: 'demo', maxRows: 20 }], heldOut: { from: 'demo-test', maxRows: 4 } },
    algorithms: [{ id: 'fedadam', hyper: { eta: 1e45 } }], // single precision has no such numbers
  });
  expect(failed).toEqual([]);
  expect(results[0]?.untuned?.rows).toBe(4);
  expect(results[0]?.held_out).toEqual(results[0]?.untuned);
  expect(results[0]).toMatchObject({ kept_rounds: 2, client_steps: [0, 0] });
  const note = expect.stringContaining('The model was kept: ');
  expect(results[0]?.kept_note).toEqual(note);
  const lines = readFileSync(join(root, 'kept', 'fedadam-seed1', METRICS_FILE), 'utf8')
    .trim()
    .split('\n');
  const rounds = lines.map((line) => roundRecord.parse(JSON.parse(line)));
  expect(rounds.map(({ round, kept, note }) => ({ round, kept, note }))).toEqual([
    { round: -1, kept: false, note: null },
    { round: 0, kept: true, note },
    { round: 1, kept: true, note },
  ]);
});
