import { expect, test } from 'vitest';
import { exampleOrder } from './order.ts';

test('a data set of any size is gone through without repetition, pass after pass', () => {
  const examples = 1_000_000;
  const order = exampleOrder({ examples, count: examples + 5, seed: 3 });
  expect(order).toHaveLength(examples + 5);
  expect(new Set(order.slice(0, examples)).size).toBe(examples);
  expect(order.slice(0, 5)).not.toEqual(order.slice(-5));
});
