import { expect, test, vi } from 'vitest';
import { CONFIG, simulate } from './simulation.test-support.ts';

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

test('a result has the steps that each client took: those that are drawn take fewer than one alone', async () => {
  const { results } = await simulate('steps', {
    perRound: 1,
    clients: 2,
    run: { ...CONFIG.run, rounds: 3 },
    baselines: ['local', 'pooled'],
  });
  const [federated, ...others] = results.map(({ client_steps }) => client_steps);
  expect(federated?.reduce((sum, steps) => sum + steps, 0)).toBe(6);
  expect(federated?.every((steps) => steps < 6)).toBe(true);
  expect(others).toEqual([[6, 0], [0, 6], [6]]);
});
