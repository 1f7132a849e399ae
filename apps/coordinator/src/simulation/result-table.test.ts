import { expect, test } from 'vitest';
import type { CellResult } from './records.ts';
import { keptLines, resultTable } from './result-table.ts';

const cell = (name: string, kind: CellResult['kind'], seed: number, lossNats: number): CellResult => ({
  cell: name,
  kind,
  algorithm: { id: 'fedavg', hyper: { weighting: 'examples' } },
  seed,
  client: null,
  rounds: 1,
  steps: 1,
  examples: [1],
  untuned: { lossNats: 4, accuracy: 0, rows: 1, labelTokens: 1 },
  held_out: { lossNats, accuracy: 0.5, rows: 1, labelTokens: 1 },
  adapter_sha256: '',
  client_steps: [1],
  kept_rounds: 0,
  kept_note: null,
  experiment_sha256: '',
  seconds: 2,
});

test('mean and sample standard deviation over seeds; the clients of a seed are averaged first', () => {
  const table = resultTable([
    cell('fedavg-2-seed1', 'federated', 1, 1),
    cell('local-seed1-client0', 'local', 1, 1),
    cell('local-seed1-client1', 'local', 1, 3),
    cell('fedavg-2-seed2', 'federated', 2, 2),
    cell('local-seed2-client0', 'local', 2, 4),
    cell('local-seed2-client1', 'local', 2, 8),
  ]);
  expect(table.split('\n').map((line) => line.trim().split(/ {2,}/))).toEqual([
    ['cells', 'loss', 'accuracy', 's a cell'],
    ['untuned', '4.0000 ± 0.0000', '0.0000 ± 0.0000'],
    ['fedavg-2', '2', '1.5000 ± 0.7071', '0.5000 ± 0.0000', '2.0'],
    ['local', '4', '4.0000 ± 2.8284', '0.5000 ± 0.0000', '2.0'],
  ]);
});

test('a seed without a figure is told, and a client without one leaves its seed without', () => {
  const none = (name: string, kind: CellResult['kind'], seed: number) => ({
    ...cell(name, kind, seed, 0),
    held_out: null,
  });
  const table = resultTable([
    cell('fedavg-seed1', 'federated', 1, 1),
    none('fedavg-seed2', 'federated', 2),
    cell('local-seed1-client0', 'local', 1, 1),
    none('local-seed1-client1', 'local', 1),
    cell('local-seed2-client0', 'local', 2, 4),
    cell('local-seed2-client1', 'local', 2, 8),
  ]);
  const lines = table.split('\n').map((line) => line.trim().split(/ {2,}/));
  expect(lines[2]?.slice(0, 3)).toEqual(['fedavg', '2', '1.0000 (n 1)']);
  expect(lines[3]?.slice(0, 3)).toEqual(['local', '4', '6.0000 (n 1)']);
});

test('a cell that diverged lends nobody the figures of the untuned model, and is named with the reason', () => {
  const kept = (one: CellResult, kept_rounds: number, client_steps: number[]): CellResult => ({
    ...one,
    ...{ kept_rounds, kept_note: 'The model was kept: it is not finite.', client_steps },
  });
  const results = [
    kept(cell('fedadam-seed1', 'federated', 1, 4), 1, [0]),
    kept(cell('fedavg-seed1', 'federated', 1, 3), 1, [2]),
    cell('fedavg-seed2', 'federated', 2, 2),
    kept(cell('fedadam-seed2', 'federated', 2, 1), 0, [0]), // nobody was drawn
  ].map((one) => ({ ...one, rounds: 3 }));
  const lines = resultTable(results)
    .split('\n')
    .map((line) => line.trim().split(/ {2,}/));
  expect(lines.slice(2).map((line) => line.slice(0, 3))).toEqual([
    ['fedadam', '2', '1.0000 (n 1)'],
    ['fedavg', '2', '2.5000 ± 0.7071'],
  ]);
  expect(keptLines(results)).toEqual([
    'fedadam-seed1 diverged: 1 of 3 rounds kept the model, and none changed it. The model was kept: it is not finite.',
    'fedavg-seed1: 1 of 3 rounds kept the model. The model was kept: it is not finite.',
  ]);
});
