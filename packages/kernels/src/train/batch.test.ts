import { describe, expect, it } from 'vitest';
import { fillBatch, labelBucket, padBatch, sequenceBucket, type TokenizedExample, trainedLength } from './batch.ts';

const NONE = 0xffffffff;
/** `length` tokens 1, 2, 3, … of which those at `labelled` are learned. */
const example = (length: number, labelled: number[]): TokenizedExample => {
  const inputIds = Array.from({ length }, (_, t) => t + 1);
  return { inputIds, labels: inputIds.map((id, t) => (labelled.includes(t) ? id : -100)) };
};

describe('batch', () => {
  it('lets the position before each label predict it, and drops what no label depends on', () => {
    const batch = padBatch([example(9, [0, 2, 4]), example(3, [2]), example(5, [])], 4);
    expect(batch.shape).toEqual({ batch: 4, seq: 8, labelRows: 16 });
    expect(batch.tokens).toBe(4 + 2);
    expect([...batch.ids]).toEqual([1, 2, 3, 4, 0, 0, 0, 0, 1, 2, ...Array<number>(22).fill(0)]);
    expect([...batch.positions.subarray(0, 10)]).toEqual([0, 1, 2, 3, 0, 0, 0, 0, 0, 1]);
    expect([...batch.segments.subarray(0, 11)]).toEqual([0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 1]);
    expect([...batch.labelIndex]).toEqual([1, 3, 9, ...Array<number>(13).fill(NONE)]);
    expect([...batch.labels]).toEqual([3, 5, 3, ...Array<number>(13).fill(NONE)]);
    expect(batch).toMatchObject({ labelTokens: 3, labelExample: [0, 0, 1] });
  });

  it('buckets lengths so that few shapes are recorded and little is padding', () => {
    expect([1, 8, 9, 64, 65, 97].map(sequenceBucket)).toEqual([8, 8, 16, 64, 96, 128]);
    expect([0, 1, 16, 17, 64, 65, 80, 81, 128, 129, 1000].map(labelBucket)).toEqual([
      16, 16, 16, 32, 64, 80, 80, 96, 128, 160, 1024,
    ]);
    for (let n = 65; n < 5000; n++) expect(labelBucket(n)).toBeLessThanOrEqual(1.25 * n + 1);
  });

  it('lays several examples out in a row, each with its own positions, segment and labels', () => {
    const all = [example(4, [2, 3]), example(9, [8]), example(3, [1, 2]), example(6, [5])];
    const batch = fillBatch(all, [[3, 0], [2]], { batch: 3, seq: 10, labelRows: 16 });
    expect([...batch.ids]).toEqual([1, 2, 3, 4, 5, 1, 2, 3, 0, 0, 1, 2, ...Array<number>(18).fill(0)]);
    expect([...batch.positions]).toEqual([0, 1, 2, 3, 4, 0, 1, 2, 0, 0, 0, 1, ...Array<number>(18).fill(0)]);
    expect([...batch.segments]).toEqual([
      0,
      0,
      0,
      0,
      0,
      1,
      1,
      1,
      2,
      2,
      0,
      0,
      ...Array<number>(8).fill(1),
      ...Array<number>(10).fill(0),
    ]);
    expect([...batch.labelIndex.subarray(0, 6)]).toEqual([4, 6, 7, 10, 11, NONE]);
    expect([...batch.labels.subarray(0, 6)]).toEqual([6, 3, 4, 2, 3, NONE]);
    expect(batch).toMatchObject({ examples: [0, 2, 3], labelExample: [2, 0, 0, 1, 1], labelTokens: 5, tokens: 10 });
  });

  it('knows how much of an example is trained', () => {
    expect([example(12, []), example(12, [0]), example(12, [3, 7])].map(trainedLength)).toEqual([0, 0, 7]);
  });
});
