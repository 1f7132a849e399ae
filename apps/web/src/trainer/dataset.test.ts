import { expect, it } from 'vitest';
import { tokenFigures } from './dataset.ts';

it('counts lengths in bins that cover all of them', () => {
  const figures = tokenFigures([1, 24, 24, 12, 48], 2);
  expect(figures).toMatchObject({ total: 109, median: 24, max: 48, truncated: 2 });
  expect(figures.histogram.reduce((sum, count) => sum + count, 0)).toBe(5);
  // 24 bins of two tokens each: 1 → 0, 12 → 6, 24 → 12, 48 → the last.
  expect([0, 6, 12, 23].map((bin) => figures.histogram[bin])).toEqual([1, 1, 2, 1]);
});

it('gives zeros for no examples', () => {
  expect(tokenFigures([], 0)).toMatchObject({ total: 0, median: 0, max: 0 });
});
