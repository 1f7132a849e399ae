import { expect, it } from 'vitest';
import { TINY } from '../../test/random-model.ts';
import { initAdapter } from './init.ts';
import { adapterLayout } from './layout.ts';

const layout = adapterLayout(TINY, { rank: 16, alpha: 32, dropout: 0, targets: ['q_proj', 'down_proj'] });

it('starts with A uniform in ±1/√inputs and B zero', () => {
  const vector = initAdapter(layout, 42);
  expect(vector).toHaveLength(layout.length);
  for (const { name, matrix, shape, offset } of layout.tensors) {
    const values = vector.subarray(offset, offset + shape[0] * shape[1]);
    if (matrix === 'B') {
      expect(
        values.every((value) => value === 0),
        name,
      ).toBe(true);
      continue;
    }
    const bound = 1 / Math.sqrt(shape[1]);
    const variance = values.reduce((sum, value) => sum + value * value, 0) / values.length;
    expect(Math.max(...values.map(Math.abs)), name).toBeLessThanOrEqual(bound);
    expect(variance / (bound ** 2 / 3), name).toBeCloseTo(1, 0.5); // a uniform's variance, within 0.16
    expect(Math.abs(values.reduce((sum, value) => sum + value, 0) / values.length), name).toBeLessThan(0.1 * bound);
  }
});

it('depends on the seed alone', () => {
  expect(initAdapter(layout, 7)).toEqual(initAdapter(layout, 7));
  expect(initAdapter(layout, 8)).not.toEqual(initAdapter(layout, 7));
  const [first = 0, second = 0] = initAdapter(layout, 0);
  expect(first).not.toBe(second);
});
