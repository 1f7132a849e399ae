import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PARTITIONS, type PartitionId } from './partition.ts';

const labelled = fc.array(fc.constantFrom('negative', 'neutral', 'positive'), { maxLength: 60 });

describe.each(Object.keys(PARTITIONS) as PartitionId[])('partition %s', (id) => {
  it('gives each row to one client at most, and is decided by its input', () => {
    fc.assert(
      fc.property(labelled, fc.integer({ min: 1, max: 7 }), fc.string(), (labels, clients, seed) => {
        const parts = PARTITIONS[id]({ labels, clients, seed });
        const given = parts.flat();
        expect(parts).toHaveLength(clients);
        expect(new Set(given).size).toBe(given.length);
        expect(given.every((index) => index >= 0 && index < labels.length)).toBe(true);
        expect(PARTITIONS[id]({ labels, clients, seed })).toEqual(parts);
      }),
    );
  });

  it('depends on the seed', () => {
    const labels = Array.from({ length: 40 }, (_, i) => ['a', 'b', 'c'][i % 3] ?? 'a');
    const [one, two] = [1, 2].map((seed) => PARTITIONS[id]({ labels, clients: 3, seed }));
    expect(one).not.toEqual(two);
  });
});

describe('iid', () => {
  it('deals every row, in sizes that differ by one at most', () => {
    const parts = PARTITIONS.iid({ labels: new Array(100).fill('x'), clients: 3, seed: 5 });
    expect(parts.map((part) => part.length)).toEqual([34, 33, 33]);
    expect(parts.flat().sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i));
  });
});

describe('lacking-label', () => {
  it('withholds one label from each client and deals the others evenly', () => {
    const labels = Array.from({ length: 90 }, (_, i) => ['pos', 'neg', 'neu'][i % 3] ?? 'pos');
    const parts = PARTITIONS['lacking-label']({ labels, clients: 3, seed: 1 });
    const seen = parts.map((part) => part.map((index) => labels[index]));
    expect(seen.map((part) => [...new Set(part)].sort())).toEqual([
      ['neu', 'pos'],
      ['neg', 'pos'],
      ['neg', 'neu'],
    ]);
    expect(seen.every((part) => part.length === 30 && part.filter((label) => label === part[0]).length === 15)).toBe(
      true,
    );
  });
});
