import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRng } from '../rng.ts';
import {
  PARTITION_KINDS,
  type PartitionKind,
  type PartitionSettings,
  partitionRows,
  partitionSettings,
} from './partition.ts';
import { drawDirichlet, drawLogGamma } from './partition-dirichlet.ts';

const SETTINGS: Readonly<Record<PartitionKind, PartitionSettings>> = {
  iid: { kind: 'iid' },
  dirichlet: { kind: 'dirichlet', alpha: 0.7 },
  shards: { kind: 'shards', labelsPerClient: 2 },
  quantity: { kind: 'quantity', alpha: 0.7 },
  'lacking-label': { kind: 'lacking-label' },
  column: { kind: 'column', column: 'owner' },
};

const cycle = (values: readonly string[], count: number): string[] =>
  Array.from({ length: count }, (_, i) => values[i % values.length] ?? '');
const numbered = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const sorted = (rows: readonly number[]): number[] => [...rows].sort((a, b) => a - b);
const share = (part: readonly number[], labels: readonly string[], label: string): number =>
  part.filter((row) => labels[row] === label).length / part.length;

const rowsInput = fc
  .array(
    fc.record({
      label: fc.constantFrom('negative', 'neutral', 'positive'),
      owner: fc.constantFrom('ann', 'bo', 'cy', 'di', 'ed', 'flo', 'gus', 'hal'),
    }),
    { minLength: 6, maxLength: 80 },
  )
  .map((rows) => ({ labels: rows.map(({ label }) => label), column: rows.map(({ owner }) => owner) }));

describe.each(PARTITION_KINDS)('partition %s', (kind) => {
  const settings = SETTINGS[kind];

  it('gives each row to one client at most and every client a row, and is decided by its input', () => {
    let split = 0;
    fc.assert(
      fc.property(rowsInput, fc.integer({ min: 1, max: 6 }), fc.string(), (rows, clients, seed) => {
        let parts: number[][];
        try {
          parts = partitionRows(settings, rows, clients, seed);
        } catch (error) {
          expect(error).toMatchObject({ name: 'FlError', code: 'invalid' });
          return;
        }
        split += 1;
        const given = parts.flat();
        expect(parts).toHaveLength(clients);
        expect(parts.every((part) => part.length > 0)).toBe(true);
        expect(new Set(given).size).toBe(given.length);
        expect(given.every((row) => Number.isInteger(row) && row >= 0 && row < rows.labels.length)).toBe(true);
        if (kind !== 'lacking-label') expect(given).toHaveLength(rows.labels.length);
        expect(partitionRows(settings, rows, clients, seed)).toEqual(parts);
      }),
    );
    expect(split).toBeGreaterThan(40);
  });

  it('depends on the seed, and takes a number and its text for the same', () => {
    const rows = { labels: cycle(['a', 'b', 'c'], 60), column: cycle(['p', 'q', 'r', 's', 't'], 60) };
    const [one, two] = [1, 2].map((seed) => partitionRows(settings, rows, 3, seed));
    expect(one).not.toEqual(two);
    expect(partitionRows(settings, rows, 3, '1')).toEqual(one);
  });

  it('does not give rows in an order that shows their labels', () => {
    const rows = { labels: cycle(['a', 'b', 'c'], 600), column: cycle(['p', 'q'], 600) };
    for (const part of partitionRows(settings, rows, 2, 3)) {
      const changes = part.filter((row, i) => i > 0 && rows.labels[row] !== rows.labels[part[i - 1] ?? 0]).length;
      expect(changes).toBeGreaterThan(part.length / 8);
    }
  });

  it('is a line of the settings schema', () => {
    expect(partitionSettings.parse(settings)).toEqual(settings);
    expect(partitionSettings.safeParse({ ...settings, more: 1 }).success).toBe(false);
  });
});

describe('what no split can do', () => {
  it.each([
    [{ kind: 'iid' }, 0, /got 0 clients, expected a whole number from 1/],
    [{ kind: 'iid' }, 7, /6 rows for 7 clients/],
    [{ kind: 'shards', labelsPerClient: 1 }, 2, /6 rows of 3 labels do not make 2 shards .* from 2 to 3/],
    [{ kind: 'shards', labelsPerClient: 4 }, 2, /do not make 8 shards/],
    [{ kind: 'column', column: 'owner' }, 2, /no values of column "owner" for 6 rows/],
    [{ kind: 'dirichlet', alpha: 1e-9 }, 6, /α = 1e-9 and 6 clients/],
    [{ kind: 'lacking-label' }, 6, /partition lacking-label: client 3 of 6 would get no row/],
  ] as const)('%o for %i clients', (settings, clients, message) => {
    const split = () => partitionRows(settings, { labels: cycle(['a', 'b', 'c'], 6) }, clients, 1);
    expect(split).toThrow(message);
  });

  it('names the client that lacking-label leaves without rows', () => {
    expect(() => partitionRows({ kind: 'lacking-label' }, { labels: cycle(['a'], 6) }, 2, 1)).toThrow(
      /partition lacking-label: client 0 of 2 would get no row/,
    );
  });

  it.each([{ kind: 'dirichlet', alpha: 1 }, { kind: 'lacking-label' }] as const)(
    'takes no free text for labels: $kind',
    (settings) => {
      const split = (different: number) => () =>
        partitionRows(settings, { labels: numbered(60).map((i) => `text ${i % different}`) }, 2, 1);
      expect(split(31)).toThrow(/60 rows have 31 different labels, expected classes that recur/);
      expect(split(30)().flat()).toHaveLength(60);
    },
  );

  it('refuses fewer owners than clients', () => {
    const rows = { labels: cycle(['a'], 6), column: cycle(['p', 'q'], 6) };
    expect(() => partitionRows({ kind: 'column', column: 'owner' }, rows, 3, 1)).toThrow(/2 different values for 3/);
  });
});

describe('iid', () => {
  it('deals every row, in sizes that differ by one at most', () => {
    const parts = partitionRows({ kind: 'iid' }, { labels: cycle(['x'], 100) }, 3, 5);
    expect(parts.map((part) => part.length)).toEqual([34, 33, 33]);
    expect(sorted(parts.flat())).toEqual(numbered(100));
  });
});

describe('lacking-label', () => {
  it('withholds one label from each client and deals the others evenly', () => {
    const labels = cycle(['pos', 'neg', 'neu'], 90);
    const parts = partitionRows({ kind: 'lacking-label' }, { labels }, 3, 1);
    const seen = parts.map((part) => part.map((row) => labels[row]));
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

describe('shards', () => {
  it('gives a client k labels at most, in equal shards when labels are equally frequent', () => {
    const digits = cycle(['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'], 1000);
    const parts = partitionRows({ kind: 'shards', labelsPerClient: 2 }, { labels: digits }, 20, 9);
    expect(parts.map((part) => part.length)).toEqual(new Array(20).fill(50));
    const held = parts.map((part) => new Set(part.map((row) => digits[row])).size);
    expect(Math.max(...held)).toBe(2);
    expect(held.filter((count) => count === 2).length).toBeGreaterThan(10);
  });

  it('cuts frequent labels into more shards, of similar length', () => {
    const labels = [...cycle(['rare'], 10), ...cycle(['common'], 70)];
    const parts = partitionRows({ kind: 'shards', labelsPerClient: 1 }, { labels }, 8, 2);
    expect(parts.map((part) => part.length)).toEqual(new Array(8).fill(10));
    expect(parts.filter((part) => labels[part[0] ?? 0] === 'rare')).toHaveLength(1);
  });
});

describe('dirichlet', () => {
  const labels = cycle(['a', 'b', 'c', 'd'], 4000);

  it('gives everyone the same mixture for a large α', () => {
    const parts = partitionRows({ kind: 'dirichlet', alpha: 10_000 }, { labels }, 5, 4);
    for (const part of parts) {
      expect(Math.abs(part.length - 800)).toBeLessThan(60);
      for (const label of ['a', 'b', 'c', 'd']) expect(Math.abs(share(part, labels, label) - 0.25)).toBeLessThan(0.03);
    }
  });

  it('gives each label to few for a small α', () => {
    const largest: number[] = [];
    for (let seed = 0; seed < 20; seed++) {
      const parts = partitionRows({ kind: 'dirichlet', alpha: 0.05 }, { labels }, 3, seed);
      for (const label of ['a', 'b', 'c', 'd']) {
        largest.push(Math.max(...parts.map((part) => part.filter((row) => labels[row] === label).length)) / 1000);
      }
    }
    expect(largest.reduce((a, b) => a + b, 0) / largest.length).toBeGreaterThan(0.85);
  });

  it('favours no client, even where every label is rare', () => {
    const held = [0, 0, 0, 0];
    const rare = numbered(400).map((i) => `label ${i % 200}`);
    for (let seed = 0; seed < 10; seed++) {
      partitionRows({ kind: 'dirichlet', alpha: 5 }, { labels: rare }, 4, seed).forEach((part, client) => {
        held[client] = (held[client] ?? 0) + part.length;
      });
    }
    // Binomial(4000, ¼): standard deviation 27.4.
    for (const count of held) expect(Math.abs(count - 1000)).toBeLessThan(5 * 27.4);
  });
});

describe('quantity', () => {
  it('skews sizes and not labels', () => {
    const labels = cycle(['a', 'b'], 6000);
    const sizes = (alpha: number): number[] =>
      partitionRows({ kind: 'quantity', alpha }, { labels }, 6, 8).map((part) => part.length);
    expect(Math.max(...sizes(1000))).toBeLessThan(1200);
    expect(Math.max(...sizes(0.3))).toBeGreaterThan(1800);
    const large = partitionRows({ kind: 'quantity', alpha: 0.3 }, { labels }, 6, 8).filter((part) => part.length > 500);
    for (const part of large) expect(Math.abs(share(part, labels, 'a') - 0.5)).toBeLessThan(0.1);
  });
});

describe('column', () => {
  it('keeps the rows of an owner together and deals owners in turn', () => {
    const owners = ['ann', 'bo', 'cy', 'di', 'ed'];
    const rows = { labels: cycle(['a', 'b'], 100), column: cycle(owners, 100) };
    const parts = partitionRows({ kind: 'column', column: 'owner' }, rows, 3, 6);
    const seen = parts.map((part) => [...new Set(part.map((row) => rows.column[row]))]);
    expect(seen.map((values) => values.length)).toEqual([2, 2, 1]);
    expect(seen.flat().sort()).toEqual(owners);
  });
});

describe('the draws', () => {
  // E ln Gamma(α) = ψ(α), Var ln Gamma(α) = ψ′(α).
  it.each([
    [0.1, -10.4237549404, 101.4332991508],
    [0.5, -1.963510026, 4.9348022005],
    [1, -0.5772156649, 1.6449340668],
    [4.5, 1.3888709264, 0.248725103],
  ])('have the moments of ln Gamma(%d)', (alpha, mean, variance) => {
    const rng = createRng(`gamma/${alpha}`);
    const draws = Array.from({ length: 20_000 }, () => drawLogGamma(rng, alpha));
    const average = draws.reduce((a, b) => a + b, 0) / draws.length;
    const spread = draws.reduce((a, b) => a + (b - average) ** 2, 0) / draws.length;
    expect(Math.abs(average - mean)).toBeLessThan(5 * Math.sqrt(variance / draws.length));
    expect(Math.abs(spread / variance - 1)).toBeLessThan(0.12);
  });

  it('have the moments of Dir(α, …, α), and survive an α whose gammas are below every double', () => {
    const rng = createRng('dirichlet');
    const draws = Array.from({ length: 4000 }, () => drawDirichlet(rng, 0.8, 5));
    for (const draw of draws) expect(draw.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 12);
    for (let k = 0; k < 5; k++) {
      const values = draws.map((draw) => draw[k] ?? 0);
      const mean = values.reduce((a, b) => a + b, 0) / values.length;
      const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length;
      expect(Math.abs(mean - 0.2)).toBeLessThan(0.016);
      expect(Math.abs(variance / ((0.2 * 0.8) / 5) - 1)).toBeLessThan(0.15); // var = m(1 − m)/(5·0.8 + 1)
    }
    const tiny = drawDirichlet(rng, 1e-6, 5);
    expect(Math.max(...tiny)).toBeCloseTo(1, 12);
    expect(tiny.every(Number.isFinite)).toBe(true);
  });
});
