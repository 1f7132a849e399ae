import { expect, it } from 'vitest';
import { expectAllClose, randomValues, unwritten } from '../../test/reference.ts';
import { runOp } from '../../test/run-op.ts';
import { sumSquares, sumSquaresPartials } from './sum_squares.ts';

it.each([1, 21, 4099, 70_001])('sums the squares of %i values', async (length) => {
  const x = randomValues(length, length + 5, 3); // five more that must not count
  const buffers = { x, partials: unwritten(sumSquaresPartials(length)), total: unwritten(1) };
  const { total } = await runOp(buffers, (b, views) => sumSquares(b, { ...views, x: [{ view: views.x, length }] }));
  expectAllClose(total, [x.subarray(0, length).reduce((sum, value) => sum + value * value, 0)]);
});

it('keeps a thread to at least 64 values, up to its limit', () => {
  expect([1, 64, 65, 10 ** 9].map(sumSquaresPartials)).toEqual([1, 1, 2, 16384]);
});
