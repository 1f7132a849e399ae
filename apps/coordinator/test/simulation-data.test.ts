import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { root, simulate } from './simulation.test-support.ts';

vi.setConfig({ testTimeout: 120_000 });

const rows = (from: number, count: number, more: (i: number) => object = () => ({})): string =>
  Array.from({ length: count }, (_, i) =>
    JSON.stringify({ instruction: `What is ${from + i}?`, output: i % 2 ? 'odd' : 'even', ...more(i) }),
  ).join('\n');

test('held-out rows of their own need not have the column that rows are dealt by, and are not dealt', async () => {
  const owned = rows(0, 8, (i) => ({ owner: i < 6 ? 'Ada' : 'Bob' }));
  await writeFile(join(root, 'owned.jsonl'), owned);
  await writeFile(join(root, 'held.jsonl'), rows(100, 2));
  const { results } = await simulate('column', {
    data: { train: [{ from: 'owned.jsonl' }], heldOut: { from: 'held.jsonl' } },
    clients: 2,
    partition: { kind: 'column', column: 'owner' },
  });
  expect(results[0]?.examples.toSorted()).toEqual([2, 6]);
  expect(results[0]?.held_out?.rows).toBe(2);

  // Rows that are split off from training rows come from the same file, which must have it.
  await writeFile(join(root, 'free.jsonl'), rows(0, 8));
  const split = simulate('no-column', {
    data: { train: [{ from: 'free.jsonl' }], heldOut: { share: 0.3 } },
    clients: 2,
    partition: { kind: 'column', column: 'owner' },
  });
  await expect(split).rejects.toThrow('free.jsonl: has no column owner');
});

test('rows that cannot be dealt are refused before anything is loaded or written', async () => {
  const cells: string[] = [];
  const impossible = simulate('too-many', { clients: 100 }, { onCell: ({ name }) => cells.push(name) });
  await expect(impossible).rejects.toThrow(/40 rows.*100 clients/);
  expect(cells).toEqual([]);
  expect(existsSync(join(root, 'too-many', 'experiment.json'))).toBe(false);
});
