import { describe, expect, it, test } from 'vitest';
import { exampleOrder, publishedOrder, roundOrder } from './order.ts';

test('a data set of any size is gone through without repetition, pass after pass', () => {
  const examples = 1_000_000;
  const order = exampleOrder({ examples, count: examples + 5, seed: 3 });
  expect(order).toHaveLength(examples + 5);
  expect(new Set(order.slice(0, examples)).size).toBe(examples);
  expect(order.slice(0, 5)).not.toEqual(order.slice(-5));
});

describe('rows as the published code chooses them', () => {
  // CPython 3: random.seed(round); random.sample(range(20), 12)
  it.each([
    [0, [12, 13, 1, 8, 15, 6, 19, 4, 7, 5, 9, 3]],
    [1, [4, 18, 2, 8, 3, 7, 12, 14, 13, 10, 6, 15]],
    [7, [10, 4, 12, 1, 2, 13, 8, 16, 5, 9, 0, 14]],
  ])('round %i', (round, expected) => {
    expect(publishedOrder({ examples: 20, count: 12, round })).toEqual(expected);
  });

  it('goes through too few again in the same order', () => {
    expect(publishedOrder({ examples: 5, count: 12, round: 0 })).toEqual([3, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4]);
    expect(() => publishedOrder({ examples: 0, count: 1, round: 0 })).toThrow('got 0 examples');
  });

  it('is the same for every participant with as many examples, and only a plan that says so follows it', () => {
    const plan = { steps: 4, batchSize: 3, seeding: 'round-only', seed: 11 } as const;
    const where = { examples: 20, round: 1 };
    expect(roundOrder(plan, where)).toEqual(publishedOrder({ ...where, count: 12 }));
    expect(roundOrder({ ...plan, seed: 12 }, where)).toEqual(roundOrder(plan, where));
    const own = { ...plan, seeding: 'run' } as const;
    expect(roundOrder(own, where)).toEqual(exampleOrder({ examples: 20, count: 12, seed: 11 }));
    expect(roundOrder({ ...own, seed: 12 }, where)).not.toEqual(roundOrder(own, where));
  });
});
