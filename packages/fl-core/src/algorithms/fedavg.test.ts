import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ClientUpdate } from './algorithm.ts';
import { fedavg } from './fedavg.ts';
import { local } from './local.ts';

const update = (participantId: string, examples: number, ...delta: number[]): ClientUpdate => ({
  participantId,
  examples,
  delta: new Float32Array(delta),
});
const run = (
  hyper: { weighting: 'examples' | 'uniform' },
  weights: Float32Array,
  updates: readonly ClientUpdate[],
): Float32Array =>
  fedavg.serverStep({ weights, updates, hyper, state: fedavg.initialState(), clients: updates.length }).weights;

describe('fedavg', () => {
  it('follows a trajectory of three rounds worked out by hand', () => {
    const hyper = { weighting: 'examples' } as const;
    // p = 3/4, 1/4; every number below is exact in float32
    let w: Float32Array = new Float32Array([1, -2]);
    w = run(hyper, w, [update('b', 1, 4, -8), update('a', 3, 0.5, 1)]);
    expect([...w]).toEqual([1 + 0.375 + 1, -2 + 0.75 - 2]); // 2.375, −3.25
    w = run(hyper, w, [update('a', 3, -1, 2), update('b', 1, 3, 2)]);
    expect([...w]).toEqual([2.375 - 0.75 + 0.75, -3.25 + 2]); // 2.375, −1.25
    w = run(hyper, w, [update('a', 2, 0.25, 0), update('c', 6, -0.5, 1)]);
    expect([...w]).toEqual([2.375 + 0.0625 - 0.375, -1.25 + 0.75]); // 2.0625, −0.5
  });

  it('weighs all alike when asked to', () => {
    const w = run({ weighting: 'uniform' }, new Float32Array([1]), [update('a', 1000, 1), update('b', 1, 3)]);
    expect([...w]).toEqual([3]);
  });

  it('gives one client its own model', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.float({ noNaN: true, min: -4, max: 4 }), fc.float({ noNaN: true, min: -4, max: 4 })), {
          minLength: 1,
          maxLength: 9,
        }),
        (pairs) => {
          const start = new Float32Array(pairs.map(([a]) => a));
          const delta = new Float32Array(pairs.map(([, b]) => b));
          const expected = start.map((w, i) => w + (delta[i] as number));
          expect(run({ weighting: 'examples' }, start, [{ participantId: 'a', delta, examples: 17 }])).toEqual(
            expected,
          );
        },
      ),
    );
  });

  it('sums in float64: many small updates beside a big one are not lost', () => {
    const small = Array.from({ length: 64 }, (_, i) => update(`s${i}`, 1, 2 ** -26));
    const [w] = run({ weighting: 'uniform' }, new Float32Array([0]), [update('big', 1, 1), ...small]);
    expect(w).toBe(Math.fround((1 + 64 * 2 ** -26) / 65)); // float32 sums would give fround(1/65)
    expect(w).not.toBe(Math.fround(1 / 65));
  });

  it('refuses counts without a positive sum', () => {
    expect(() => run({ weighting: 'examples' }, new Float32Array(1), [update('a', 0, 1)])).toThrow('positive sum');
    expect(() => run({ weighting: 'examples' }, new Float32Array(1), [update('a', -1, 1), update('b', 3, 1)])).toThrow(
      'counts ≥ 0',
    );
    const huge = [update('a', Number.MAX_VALUE, 1), update('b', Number.MAX_VALUE, 1)];
    expect(() => run({ weighting: 'examples' }, new Float32Array(1), huge)).toThrow('finite counts');
  });

  it('takes huge counts, and counts of zero beside others', () => {
    const counts = [update('a', 2 ** 53, 1), update('b', 3 * 2 ** 53, 5), update('c', 0, 1000)];
    expect([...run({ weighting: 'examples' }, new Float32Array(1), counts)]).toEqual([0.25 + 3.75]);
  });
});

describe('local', () => {
  const step = (updates: readonly ClientUpdate[]) =>
    local.serverStep({
      weights: new Float32Array([1, 1]),
      updates,
      hyper: { client: 0, rounds: 'every' },
      state: local.initialState(),
      clients: 2,
    }).weights;

  it('keeps the weights of one client whatever its number of examples', () => {
    expect([...step([update('a', 5, 0.5, -3)])]).toEqual([1.5, -2]);
  });

  it('takes nobody else in', () => {
    expect([...step([update('b', 500, 9, 9), update('a', 5, 0.5, -3)])]).toEqual([1.5, -2]);
  });

  it('says who trains', () => {
    expect(local.soleClient({ client: 2, rounds: 'every' })).toBe(2);
    expect(local.onlyWhenDrawn({ client: 2, rounds: 'every' })).toBe(false);
    expect(local.onlyWhenDrawn({ client: 2, rounds: 'drawn' })).toBe(true);
    expect(local.exchanges).toBe(false);
  });
});
