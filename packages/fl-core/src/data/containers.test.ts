import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { DataError } from './error.ts';
import { gunzip } from './gunzip.ts';
import { parquetOf } from './parquet-fixture.ts';
import { type ParseOptions, parseDataset } from './parse-dataset.ts';
import { parsePreferences } from './parse-preferences.ts';

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const parse = (file: string | Uint8Array, fileName: string, options: Partial<ParseOptions> = {}) =>
  parseDataset(typeof file === 'string' ? utf8(file) : file, { fileName, ...options });

describe('gzip', () => {
  const text = '{"prompt":"p","response":"r"}\n';

  it('is told by its bytes, around any container', async () => {
    for (const [file, name, container] of [
      [utf8(text), 'a.jsonl.gz', 'jsonl'],
      [utf8(text + text), 'a.bin', 'jsonl'],
      [utf8('prompt,response\np,r'), 'a.csv.gz', 'csv'],
      [parquetOf([{ prompt: 'p', response: 'r' }]), 'a.parquet.gz', 'parquet'],
      [utf8('One line.\nAnother.'), 'a.txt.gz', 'text'],
    ] as const) {
      const { rows, card } = await parse(new Uint8Array(gzipSync(file)), name);
      expect(rows.length).toBeGreaterThan(0);
      expect(card).toMatchObject({ container, fileName: name });
    }
  });

  it('is refused when it breaks off, holds another, or unpacks to too much', async () => {
    const packed = new Uint8Array(gzipSync(text.repeat(100)));
    await expect(parse(packed.subarray(0, packed.length - 9), 'a.gz')).rejects.toMatchObject({ code: 'damaged' });
    const wrong = packed.slice();
    wrong[wrong.length - 6] = (wrong.at(-6) ?? 0) ^ 1; // in its checksum
    await expect(parse(wrong, 'a.gz')).rejects.toMatchObject({ code: 'damaged' });
    await expect(parse(new Uint8Array(gzipSync(packed)), 'a.gz')).rejects.toMatchObject({ code: 'unsupported-format' });
    const bomb = new Uint8Array(gzipSync(new Uint8Array(50_000_000))); // a thousandth of that
    bomb.fill(0, bomb.length - 8); // its checksum and length are wrong, which only who goes on to the end finds out
    const answer = gunzip(bomb, 'a.gz', 100_000).then(
      (unpacked) => unpacked.length,
      (error: DataError) => error.code,
    );
    expect(await answer).toBe('too-large');
    await expect(gunzip(bomb, 'a.gz', 50_000_000)).rejects.toMatchObject({ code: 'damaged' });
    expect((await gunzip(packed, 'a.gz', 100 * text.length)).length).toBe(100 * text.length);
    await expect(gunzip(packed, 'a.gz', 100 * text.length - 1)).rejects.toMatchObject({ code: 'too-large' });
  });
});

describe('plain text', () => {
  it('has a row for each paragraph, or without blank lines for each line', async () => {
    const { rows, format, card } = await parse('\r\nOne,\r\ntwo.\r\n\r\n \r\nThree.\r\n', 'a.txt');
    expect(rows).toEqual([
      { prompt: '', response: 'One,\r\ntwo.', line: 2 },
      { prompt: '', response: 'Three.', line: 6 },
    ]);
    expect([format, card.container]).toEqual(['text', 'text']);
    const lines = await parse('One.\nTwo.\n\n', 'a.txt');
    expect(lines.rows.map(({ response, line }) => [response, line])).toEqual([
      ['One.', 1],
      ['Two.', 2],
    ]);
    expect((await parse('One.\rTwo.', 'a.txt')).rows.map(({ line }) => line)).toEqual([1, 2]);
  });

  it('rejects a paragraph that is no text, and reads a table as one', async () => {
    const bytes = Uint8Array.from([...utf8('good\n'), 0xff, 10, ...utf8('nul\0\n'), ...utf8('good too')]);
    const { rows, rejected } = await parse(bytes, 'a.txt');
    expect(rows.map(({ line }) => line)).toEqual([1, 4]);
    expect(rejected).toEqual([
      { line: 2, reason: 'is not valid UTF-8' },
      { line: 3, reason: 'holds a NUL character' },
    ]);
    expect((await parse('question,answer\nq,a', 'a.txt')).rows).toEqual([{ prompt: 'q', response: 'a', line: 2 }]);
    const mapping = { prompt: 'ask', response: 'say' };
    expect((await parse('ask,say\nq,a', 'a.txt', { mapping })).rows).toHaveLength(1);
    expect((await parse('ask,say\nq,a', 'a.txt')).rows).toHaveLength(2);
  });
});

describe('JSON objects', () => {
  const row = (i: number) => ({ prompt: `p${i}`, response: 'r' });
  const lines = async (file: string) => (await parse(file, 'a.json')).rows.map(({ prompt, line }) => [prompt, line]);

  it('may hold records by their ids, or one array of records', async () => {
    const keyed = { '7': row(1), 'a"b\\': row(2), 'c 9': row(3) };
    expect(await lines(JSON.stringify(keyed, null, 2))).toEqual([
      ['p1', 2],
      ['p2', 6],
      ['p3', 10],
    ]);
    expect(await lines(JSON.stringify(keyed))).toHaveLength(3);
    for (const wrapping of [
      { data: [row(1), row(2)] },
      { version: '1', info: { by: 'x' }, rows: [row(1), row(2)], n: 2 },
    ]) {
      for (const indent of [undefined, 1]) {
        expect((await lines(JSON.stringify(wrapping, null, indent))).map(([prompt]) => prompt)).toEqual(['p1', 'p2']);
      }
    }
    expect((await lines('{\n"data": [\n{"prompt":"p1","response":"r"}\n]\n}\n'))[0]).toEqual(['p1', 3]);
  });

  it('may be one record, also over many lines', async () => {
    const messages = [
      { role: 'user', content: 'q' },
      { role: 'assistant', content: 'a' },
    ];
    for (const indent of [undefined, 2]) {
      const { rows } = await parse(JSON.stringify({ messages }, null, indent), 'a.json');
      expect(rows).toEqual([{ prompt: 'q', response: 'a', line: 1 }]);
    }
  });

  it('lose the record that is malformed, and no other', async () => {
    const good = (i: number) => `  "${i}": {\n    "prompt": "p${i}",\n    "response": "r"\n  }`;
    for (const bad of [good(2).replace('"r"', '"r'), good(2).replace('{', '{[{'), good(2).replace('"2":', '2:')]) {
      const { rows, rejected } = await parse(`{\n${[good(1), bad, good(3), good(4)].join(',\n')}\n}`, 'a.json');
      expect(rows.map(({ prompt, line }) => [prompt, line]).slice(-2)).toEqual([
        ['p3', 10],
        ['p4', 14],
      ]);
      expect(rejected).toHaveLength(1);
    }
    const cut = `{\n${[good(1), good(2), good(3)].join(',\n')}`;
    expect((await parse(cut.slice(0, -20), 'a.json')).rows).toHaveLength(2);
    expect((await parse('{"data": [\n{"prompt":"p","response":"r"},\n{"prompt":', 'a.json')).rows).toHaveLength(1);
  });

  it('are refused when they hold no records', async () => {
    for (const file of ['{}', '{"a": 1}', '{"a": "yes", "b": "no"}', '{"a": []}', '{"a": [1, 2]}']) {
      await expect(parse(file, 'a.json')).rejects.toMatchObject({ code: 'unsupported-format' });
    }
  });

  it('hold preference pairs too', async () => {
    const pair = { prompt: 'q', chosen: 'a', rejected: 'b' };
    const { rows } = await parsePreferences(utf8(JSON.stringify({ data: [pair] })), { fileName: 'a.json' });
    expect(rows).toHaveLength(1);
  });
});

describe('columns', () => {
  const file = 'Client,q,a\n7,x,1\n8,x,1\n9,y,1\n,y,2';
  const mapping = { prompt: 'Q', response: 'a' };

  it('are kept as text under the names that were asked for', async () => {
    const { rows } = await parse(file, 'a.csv', { mapping, keepColumns: ['client'], dedupe: 'none' });
    expect(rows.map(({ columns }) => columns)).toEqual([
      { client: '7' },
      { client: '8' },
      { client: '9' },
      { client: '' },
    ]);
    const nested = JSON.stringify({ prompt: 'p', response: 'r', meta: { a: [1] }, n: 3, none: null });
    const kept = await parse(nested, 'a.jsonl', { keepColumns: ['meta', 'n', 'none'] });
    expect(kept.rows[0]?.columns).toEqual({ meta: '{"a":[1]}', n: '3' });
    await expect(parse(file, 'a.csv', { mapping, keepColumns: ['nope'] })).rejects.toMatchObject({
      code: 'unknown-column',
    });
    const pair = utf8('id,prompt,chosen,rejected\n5,q,a,b');
    const pairs = await parsePreferences(pair, { fileName: 'a.csv', keepColumns: ['id'] });
    expect(pairs.rows[0]?.columns).toEqual({ id: '5' });
  });

  it('can be dropped, and what makes rows the same can be chosen', async () => {
    const medical = JSON.stringify({ instruction: 'Answer truthfully.', input: 'q', output: 'a' });
    expect((await parse(medical, 'a.jsonl')).rows[0]?.prompt).toBe('Answer truthfully. q');
    const dropped = await parse(medical, 'a.jsonl', { dropColumns: ['Instruction'] });
    expect(dropped).toMatchObject({ format: 'input-output', rows: [{ prompt: 'q', response: 'a' }] });
    const count = async (dedupe: 'row' | 'prompt' | 'none') => {
      const { rows, card } = await parse(file, 'a.csv', { mapping, dedupe });
      return [rows.length, card.duplicateRows];
    };
    expect(await count('row')).toEqual([3, 1]);
    expect(await count('prompt')).toEqual([2, 2]);
    expect(await count('none')).toEqual([4, 0]);
  });

  it('are mapped for preference pairs, whatever the answers are', async () => {
    const mapped = { prompt: 'Ask', chosen: 'good', rejected: 'BAD' };
    const table = utf8('ask,good,bad\nq,a,b');
    const options = { fileName: 'a.csv', mapping: mapped };
    expect(await parsePreferences(table, options)).toMatchObject({
      format: 'mapping',
      rows: [{ turns: ['q'], chosen: 'a', rejected: 'b' }],
    });
    const turn = { role: 'assistant', content: 'a' };
    const lists = utf8(JSON.stringify([{ ask: 'q', good: [turn], bad: [{ ...turn, content: 'b' }] }]));
    expect((await parsePreferences(lists, { ...options, fileName: 'a.json' })).rows).toHaveLength(1);
    await expect(parsePreferences(utf8('ask,good\nq,a'), options)).rejects.toMatchObject({ code: 'unknown-column' });
    await expect(parsePreferences(table, { fileName: 'a.csv', mapping })).rejects.toThrow(/expect prompt, chosen/);
    await expect(parse('ask,good,bad\nq,a,b', 'a.csv', { mapping: mapped })).rejects.toThrow(
      /expects prompt and response/,
    );
  });

  it('whose names look like data are not shown', async () => {
    const text = 'Shares of Acme fell by four percent on Monday,0\nA second line of somebody,1\nMore,2';
    const { rejected } = await parse(text, 'a.csv');
    expect(rejected).toHaveLength(2);
    for (const { reason } of rejected) expect(reason).toMatch(/^has the fields 2 that are no names/);
    const error = await parse(text, 'a.csv', { mapping }).catch((caught: Error) => caught);
    expect(String(error)).not.toContain('Acme');
  });
});
