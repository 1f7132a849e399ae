import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DataError } from './error.ts';
import { type FixtureCodec, parquetOf, turnsParquet } from './parquet-fixture.ts';
import { parseDataset } from './parse-dataset.ts';
import { parsePreferences } from './parse-preferences.ts';

const parse = (bytes: Uint8Array) => parseDataset(bytes, { fileName: 'a.parquet' });

describe('Parquet', () => {
  const rows = Array.from({ length: 25 }, (_, i) => ({ prompt: `question ${i}`, response: `answer ${i % 3}` }));

  it.each(['UNCOMPRESSED', 'SNAPPY', 'GZIP', 'BROTLI', 'ZSTD'] satisfies FixtureCodec[])(
    'is read with %s',
    async (codec) => {
      const dataset = await parse(parquetOf(rows, { codec, rowGroupSize: 10 }));
      expect(dataset.rejected).toEqual([]);
      expect(dataset.rows).toEqual(rows.map((row, i) => ({ ...row, line: i + 1 })));
      expect(dataset.card).toMatchObject({ container: 'parquet', rows: 25 });
    },
  );

  it('reads conversations in lists of structs, numbers, missing values and columns to keep', async () => {
    const question = { role: 'user', content: 'q' };
    const messages = [question, { role: 'assistant', content: 'a' }];
    const talk = await parse(turnsParquet({ messages: [messages, [...messages, ...messages]] }));
    expect(talk.rejected).toEqual([]);
    expect(talk.rows).toEqual([
      { prompt: 'q', response: 'a', line: 1 },
      { history: [{ prompt: 'q', response: 'a' }], prompt: 'q', response: 'a', line: 2 },
    ]);
    expect((await parse(parquetOf([{ messages }]))).rows).toHaveLength(1); // a column of JSON
    const pairs = turnsParquet({ chosen: [messages], rejected: [[question, { role: 'assistant', content: 'b' }]] });
    expect((await parsePreferences(pairs, { fileName: 'a.parquet' })).rows).toEqual([
      { turns: ['q'], chosen: 'a', rejected: 'b', line: 1 },
    ]);
    const labelled = [
      { text: 'a', label: 1n, client: 12n },
      { text: undefined, label: 0n, client: 13n },
      { text: 'c', label: 2n, client: undefined },
    ];
    const kept = await parseDataset(parquetOf(labelled), { fileName: 'a.parquet', keepColumns: ['Client'] });
    expect(kept.rows).toEqual([
      { prompt: 'a', response: '1', line: 1, columns: { Client: '12' } },
      { prompt: 'c', response: '2', line: 3, columns: {} },
    ]);
    expect(kept.rejected).toEqual([{ line: 2, reason: 'has no text' }]);
    const scored = [0.5, Number.NaN, Number.POSITIVE_INFINITY].map((label, i) => ({
      text: `t${i}`,
      label,
      score: label,
    }));
    const finite = await parseDataset(parquetOf(scored), { fileName: 'a.parquet' });
    expect(finite.rows).toEqual([{ prompt: 't0', response: '0.5', line: 1 }]);
    expect(finite.rejected).toEqual([2, 3].map((line) => ({ line, reason: 'label is not a finite number' })));
    const only = { keepColumns: ['score'], mapping: { prompt: 'text', response: 'text' } };
    const scores = (await parseDataset(parquetOf(scored), { fileName: 'a.parquet', ...only })).rows;
    expect(scores.map(({ columns }) => columns)).toEqual([{ score: '0.5' }, {}, {}]);
  });

  it('rejects a row whose text is not UTF-8, and a row group that is damaged, and keeps the rest', async () => {
    const bytes = parquetOf(rows, { rowGroupSize: 10 });
    const at = (text: string, file: Uint8Array) => Buffer.from(file).indexOf(text);
    const bad = bytes.slice();
    bad[at('question 12', bad)] = 0xff;
    const { rows: kept, rejected } = await parse(bad);
    expect(rejected).toEqual([{ line: 13, reason: 'is not valid UTF-8' }]);
    expect(kept).toHaveLength(24);
    const broken = bytes.slice();
    broken.fill(0xff, at('question 10', broken) - 30, at('question 10', broken) - 4);
    const rest = await parse(broken);
    expect(rest.rejected).toEqual([{ line: 11, reason: expect.stringContaining('its 10 rows') }]);
    expect(rest.rows.map(({ line }) => line)).toEqual(rows.flatMap((_, i) => (i < 10 || i >= 20 ? [i + 1] : [])));
  });

  it('is not led on by a run of a billion values', async () => {
    const bytes = parquetOf([...rows.slice(0, 7), { prompt: null, response: 'r' }], { rowGroupSize: 8 });
    // Definition levels of the eight prompts, seven ones and a zero, as a group of bits; then the first length.
    const runs = Buffer.from(bytes).indexOf(Uint8Array.of(3, 0b01111111, 'question 0'.length, 0));
    expect(runs).toBeGreaterThan(0);
    bytes.set([0xfe, 0xff, 0xff, 0xff, 0x07], runs);
    const { rejected } = await parse(bytes);
    expect(rejected).toEqual([{ line: 1, reason: expect.stringContaining('damaged row group') }]);
  });

  it('refuses files that break off or state more than they may hold', async () => {
    const bytes = parquetOf(rows);
    for (const length of [4, 8, 100, bytes.length - 1]) {
      await expect(parse(bytes.subarray(0, length))).rejects.toMatchObject({ code: 'damaged' });
    }
  });

  it('answers a file with any bytes changed with rows, rejections or a DataError', async () => {
    const files = (['UNCOMPRESSED', 'SNAPPY', 'GZIP', 'ZSTD'] satisfies FixtureCodec[]).map((codec) =>
      parquetOf([...rows, { prompt: null, response: 'r' }], { codec, rowGroupSize: 8 }),
    );
    files.push(turnsParquet({ messages: rows.map(({ prompt }) => [{ role: 'user', content: prompt }]) }));
    const change = fc.record({
      file: fc.nat({ max: files.length - 1 }),
      at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      values: fc.uint8Array({ minLength: 1, maxLength: 6 }),
      cut: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { freq: 8 }),
    });
    await fc.assert(
      fc.asyncProperty(change, async ({ file, at, values, cut }) => {
        const bytes = files[file]?.slice() ?? new Uint8Array();
        const start = Math.floor(at * (bytes.length - values.length));
        bytes.set(values, start);
        try {
          const dataset = await parse(cut === null ? bytes : bytes.subarray(0, Math.floor(cut * bytes.length)));
          for (const row of [...dataset.rows, ...dataset.rejected]) expect(row.line).toBeGreaterThanOrEqual(1);
        } catch (error) {
          expect(error).toBeInstanceOf(DataError);
        }
      }),
      { numRuns: 1500 },
    );
  });
});
