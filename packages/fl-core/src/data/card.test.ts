import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { datasetCard, preferenceCard } from './card.ts';
import { groupRejections, lengthHistogram, summariseLengths, tokenFigures } from './card-figures.ts';
import type { DataRow } from './row.ts';

const file = { fileName: 'a.jsonl', fileBytes: 9, container: 'jsonl', emptyRows: 1, duplicateRows: 2 } as const;
const row = (response: string, line = 1): DataRow => ({ prompt: 'a question', response, line });
const times = (count: number, response: string): DataRow[] => Array.from({ length: count }, () => row(response));
const lengths = fc.array(fc.nat({ max: 100_000 }), { minLength: 1, maxLength: 60 });

describe('rejections', () => {
  it('are one reason when only numbers differ, the most frequent first, with their first lines in order', () => {
    const rejected = [
      { line: 30, reason: 'is 90 bytes long, expected at most 80' },
      { line: 4, reason: 'prompt is empty' },
      { line: 2, reason: 'is 100 bytes long, expected at most 80' },
      { line: 7, reason: 'is 81 bytes long, expected at most 80' },
    ];
    expect(groupRejections(rejected, 2)).toEqual([
      { reason: 'is 100 bytes long, expected at most 80', count: 3, lines: [2, 7] },
      { reason: 'prompt is empty', count: 1, lines: [4] },
    ]);
  });
});

describe('histogram', () => {
  it('counts every length once, in even bins of a round width', () => {
    fc.assert(
      fc.property(lengths, fc.integer({ min: 1, max: 30 }), (values, maxBins) => {
        const bins = lengthHistogram(values, maxBins);
        expect(bins.length).toBeLessThanOrEqual(maxBins);
        const width = (bins[0]?.to ?? 0) - (bins[0]?.from ?? 0);
        expect(String(width)).toMatch(/^[125]0*$/);
        bins.forEach(({ from, to, count }, i) => {
          expect([from % width, to - from, from - (bins[0]?.from ?? 0)]).toEqual([0, width, i * width]);
          expect(count).toBe(values.filter((value) => value >= from && value < to).length);
        });
        expect(bins.reduce((sum, { count }) => sum + count, 0)).toBe(values.length);
        expect(Math.min(bins[0]?.count ?? 0, bins.at(-1)?.count ?? 0)).toBeGreaterThan(0);
      }),
    );
  });

  it('takes the least width that fits', () => {
    expect(lengthHistogram([100, 119], 20)).toHaveLength(20);
    expect(lengthHistogram([100, 104, 120], 20).map(({ from, count }) => [from, count])).toEqual(
      [1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1].map((count, i) => [100 + 2 * i, count]),
    );
    expect(lengthHistogram([])).toEqual([]);
  });
});

it('lengths are summed up as their order and sum say', () => {
  expect(summariseLengths([30, 2, 10, 4])).toEqual({ min: 2, median: 10, max: 30, total: 46 });
  expect(summariseLengths([])).toBeNull();
});

it('token figures count what is longer than a sequence, not what fills it', () => {
  expect(tokenFigures([5, 8, 9, 20], 8)).toMatchObject({ maxSeqLength: 8, tooLongRows: 2, lengths: { total: 42 } });
});

describe('data card', () => {
  it('counts the rows, the questions of dialogues and the text before the answer', () => {
    const dialogue = {
      ...row('third'),
      history: [
        { prompt: 'one', response: 'first' },
        { prompt: 'two', response: 'second' },
      ],
    };
    const card = datasetCard([row('x'.repeat(50)), dialogue, row('yes')], {
      ...file,
      rejected: [{ line: 3, reason: 'prompt is empty' }],
    });
    expect(card).toEqual({
      fileName: 'a.jsonl',
      fileBytes: 9,
      container: 'jsonl',
      rows: 3,
      rejectedRows: 1,
      rejections: [{ reason: 'prompt is empty', count: 1, lines: [3] }],
      emptyRows: 1,
      duplicateRows: 2,
      questions: [
        { questions: 1, rows: 2 },
        { questions: 3, rows: 1 },
      ],
      promptChars: { min: 10, median: 10, max: 27, total: 47 },
      responseChars: { min: 3, median: 5, max: 50, total: 58 },
      responseCounts: null,
    });
  });

  it('names labels only where responses are few, short and recur', () => {
    const counts = (rows: DataRow[]) => datasetCard(rows, { ...file, rejected: [] }).responseCounts;
    expect(counts([...times(1, 'no'), ...times(3, 'yes')])).toEqual([
      { response: 'yes', count: 3 },
      { response: 'no', count: 1 },
    ]);
    expect(counts([row('no'), row('yes'), row('yes')])).toBeNull();
    expect(counts(times(9, 'a sentence that is much too long for a label'))).toBeNull();
    expect(counts(Array.from({ length: 21 }, (_, i) => times(9, `label ${i}`)).flat())).toBeNull();
    expect(counts([])).toBeNull();
  });

  it('holds no text of rows that are not labels', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ minLength: 8 }), { minLength: 1, maxLength: 30 }), (texts) => {
        const rows = texts.map((text, i) => ({ prompt: `p§${text}`, response: `r§${text}${i}`, line: i }));
        const pairs = rows.map((each) => ({ turns: [each.prompt], chosen: each.response, rejected: 'b§', line: 1 }));
        expect(JSON.stringify(datasetCard(rows, { ...file, rejected: [] }))).not.toContain('§');
        expect(JSON.stringify(preferenceCard(pairs, { ...file, rejected: [] }))).not.toContain('§');
      }),
    );
  });
});

it('the card of preference pairs tells whether length alone gives the preferred answer away', () => {
  const pair = (turns: string[], chosen: string, rejected: string) => ({ turns, chosen, rejected, line: 1 });
  const rows = [
    pair(['why'], 'because', 'no'),
    pair(['hi', 'hello', 'why'], 'no', 'because'),
    pair(['so'], 'ab', 'cd'),
  ];
  expect(preferenceCard(rows, { rejected: [], emptyRows: 0, duplicateRows: 1 })).toEqual({
    rows: 3,
    rejectedRows: 0,
    rejections: [],
    emptyRows: 0,
    duplicateRows: 1,
    questions: [
      { questions: 1, rows: 2 },
      { questions: 2, rows: 1 },
    ],
    promptChars: { min: 2, median: 3, max: 10, total: 15 },
    chosenChars: { min: 2, median: 2, max: 7, total: 11 },
    rejectedChars: { min: 2, median: 2, max: 7, total: 11 },
    longerChosenRows: 1,
  });
});
