import { describe, expect, it } from 'vitest';
import { uniform } from '../lora/uniform.ts';
import { fillFromFront, layOut, packBatch, packedLength } from './pack.ts';

const randomLengths = (seed: number, count: number, longest: number): number[] =>
  Array.from({ length: count }, (_, i) => 1 + Math.floor(uniform(seed, i) ** 2 * longest));
const tokens = (lengths: readonly number[], rows: readonly (readonly number[])[]): number[] =>
  rows.map((row) => row.reduce((sum, index) => sum + (lengths[index] ?? 0), 0));
const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

describe('packing', () => {
  it('has few row lengths, none much longer than asked', () => {
    expect([1, 8, 9, 17, 25, 33, 49, 65, 97, 129, 385].map(packedLength)).toEqual([
      8, 8, 16, 24, 32, 48, 64, 96, 128, 192, 512,
    ]);
    for (let n = 17; n < 3000; n++) {
      expect(packedLength(n)).toBeGreaterThanOrEqual(n);
      expect(packedLength(n)).toBeLessThan(1.5 * n + 8);
    }
  });

  it.each([1, 2, 3, 4, 5])('places every example once, in rows that hold it (case %i)', (seed) => {
    const lengths = randomLengths(seed, 40, 120);
    const maxRows = (seq: number) => Math.max(1, Math.floor(600 / seq));
    const { seq, rows, microBatches } = layOut(lengths, { packing: true, maxRows });
    expect(microBatches.flat(2).toSorted((a, b) => a - b)).toEqual(lengths.map((_, i) => i));
    for (const micro of microBatches) {
      expect(micro.length).toBeLessThanOrEqual(rows);
      for (const filled of tokens(lengths, micro)) expect(filled).toBeLessThanOrEqual(seq);
    }
    expect(rows).toBeLessThanOrEqual(maxRows(seq));
    // Little padding, and micro-batches of about the same work.
    expect(sum(lengths)).toBeGreaterThan(0.75 * microBatches.length * rows * seq);
    const loads = microBatches.map((micro) => sum(tokens(lengths, micro)));
    expect(Math.min(...loads)).toBeGreaterThan(0.8 * Math.max(...loads));
    expect(layOut(lengths, { packing: true, maxRows })).toEqual({ seq, rows, microBatches });
  });

  it('lengthens rows where that saves padding, but not where attention would cost more', () => {
    const lengths = Array<number>(15).fill(51); // one each in 64, five in 256
    const maxRows = (seq: number) => Math.floor(960 / seq);
    expect(layOut(lengths, { packing: true, maxRows })).toMatchObject({ seq: 256, rows: 3 });
    expect(layOut(lengths, { packing: true, maxRows, attentionScale: 64 })).toMatchObject({ seq: 64, rows: 15 });
  });

  it('keeps groups together', () => {
    const lengths = randomLengths(9, 30, 60);
    for (const packing of [true, false]) {
      const { microBatches } = layOut(lengths, { packing, maxRows: () => 3, groupSize: 2 });
      expect(microBatches.length).toBeGreaterThan(2);
      for (const micro of microBatches) {
        const members = new Set(micro.flat());
        for (const index of members) expect(members.has(index % 2 === 0 ? index + 1 : index - 1)).toBe(true);
      }
      expect(microBatches.flat(2)).toHaveLength(30);
    }
  });

  it('without packing gives each example a row, in order, in equal micro-batches', () => {
    const asked: number[] = [];
    const maxRows = (seq: number) => {
      asked.push(seq);
      return 3;
    };
    const { seq, rows, microBatches } = layOut([11, 39, 2, 8, 29, 6, 20], { packing: false, maxRows });
    expect(asked).toEqual([40]);
    expect({ seq, rows }).toEqual({ seq: 40, rows: 3 });
    expect(microBatches).toEqual([[[0], [1], [2]], [[3], [4], [5]], [[6]]]);
    expect(layOut([5, 6], { packing: false, maxRows: () => 1 }).microBatches).toEqual([[[0]], [[1]]]);
  });

  it('gives all micro-batches of a step one shape', () => {
    const examples = randomLengths(3, 20, 30).map((length) => {
      const inputIds = Array.from({ length: length + 1 }, (_, t) => t);
      return { inputIds, labels: inputIds };
    });
    const batches = packBatch(examples, { packing: true, maxRows: () => 2 });
    expect(batches.length).toBeGreaterThan(2);
    expect(new Set(batches.map(({ shape }) => JSON.stringify(shape))).size).toBe(1);
    expect(sum(batches.map(({ labelTokens }) => labelTokens))).toBe(
      sum(examples.map(({ labels }) => labels.length - 1)),
    );
    expect(sum(batches.map(({ tokens: real }) => real))).toBe(sum(examples.map(({ labels }) => labels.length - 1)));
  });

  it.each([true, false])('fills evaluation rows from the longest on (packing %s)', (packing) => {
    const lengths = randomLengths(8, 50, 90).toSorted((a, b) => b - a);
    const taken = lengths.map(() => false);
    const maxRows = (seq: number) => Math.max(1, Math.floor(400 / seq));
    const order: number[] = [];
    while (taken.includes(false)) {
      const first = taken.indexOf(false);
      const { seq, rows } = fillFromFront(lengths, taken, { packing, maxRows });
      expect(rows.flat()).toContain(first);
      expect(rows.length).toBeLessThanOrEqual(maxRows(seq));
      for (const filled of tokens(lengths, rows)) expect(filled).toBeLessThanOrEqual(seq);
      if (!packing) expect(Math.max(...rows.map((row) => row.length))).toBe(1);
      order.push(...rows.flat());
    }
    expect(order.toSorted((a, b) => a - b)).toEqual(lengths.map((_, i) => i));
  });
});
