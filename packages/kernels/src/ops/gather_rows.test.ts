import { describe, expect, it } from 'vitest';
import { randomValues, unwritten } from '../../test/reference.ts';
import { runOp } from '../../test/run-op.ts';
import { gatherRows, NO_ROW, scatterRows } from './gather_rows.ts';

const CASES = [
  { rows: 5, dim: 64, index: [4, 0, NO_ROW, 2] },
  { rows: 3, dim: 7, index: [1] },
  { rows: 90, dim: 3, index: Array.from({ length: 70 }, (_, i) => (i % 7 === 0 ? NO_ROW : 89 - i)) },
];

describe('gather_rows', () => {
  it.each(CASES)('gathers rows of ($rows, $dim)', async ({ rows, dim, index }) => {
    const x = randomValues(1, rows * dim);
    const count = index.length;
    const buffers = { x, index: Uint32Array.from(index), y: unwritten(count * dim) };
    const { y } = await runOp(buffers, (b, views) => gatherRows(b, { ...views, count, dim }));
    const expected = index.flatMap((row) =>
      Array.from({ length: dim }, (_, i) => (row === NO_ROW ? 0 : x[row * dim + i])),
    );
    expect([...y]).toEqual(expected);
  });

  it.each(CASES)('scatters rows into ($rows, $dim)', async ({ rows, dim, index }) => {
    const [dy, before] = [randomValues(2, index.length * dim), randomValues(3, rows * dim)];
    const buffers = { dy, index: Uint32Array.from(index), dx: before };
    const { dx } = await runOp(buffers, (b, views) => scatterRows(b, { ...views, count: index.length, dim }));
    const expected = Array.from(before, (value, at) => {
      const from = index.indexOf(Math.floor(at / dim));
      return from < 0 ? value : dy[from * dim + (at % dim)];
    });
    expect([...dx]).toEqual(expected);
  });
});
