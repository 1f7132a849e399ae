import { expect, test, vi } from 'vitest';
import { simulate } from './simulation.test-support.ts';

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
});
