import { expect, it } from 'vitest';
import { randomValues } from '../../test/reference.ts';
import { runOp } from '../../test/run-op.ts';
import { addInPlace } from './add.ts';

it.each([21, 320, 4097])('adds %i values and nothing past them', async (length) => {
  const [x, y] = [randomValues(1, length + 3), randomValues(2, length + 3)];
  const sum = await runOp({ x, y }, (b, views) => addInPlace(b, { ...views, length }));
  expect([...sum.x]).toEqual(Array.from(x, (value, i) => (i < length ? Math.fround(value + (y[i] ?? 0)) : value)));
});
