import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DataError } from './error.ts';
import { parquetOf } from './parquet-fixture.ts';
import { parseDataset } from './parse-dataset.ts';
import { parsePreferences } from './parse-preferences.ts';

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const parse = (file: string | Uint8Array, fileName: string) =>
  parseDataset(typeof file === 'string' ? utf8(file) : file, { fileName });
const joined = (...parts: (string | Uint8Array)[]): Uint8Array =>
  new Uint8Array(Buffer.concat(parts.map((part) => (typeof part === 'string' ? utf8(part) : part))));
const row = (prompt: string) => ({ prompt, response: 'r' });
const line = (prompt: string): string => JSON.stringify(row(prompt));
const summary = async (file: string | Uint8Array, fileName: string) => {
  const { rows, rejected } = await parse(file, fileName);
  return { kept: rows.map(({ prompt }) => prompt), lost: rejected.map((each) => `${each.line} ${each.reason}`) };
};

/** Milliseconds for what takes seconds on an idle machine and what it guards against takes for ever: time that grows with the square of the file. */
const PATIENT = 120_000;

describe('encodings', () => {
  const utf16 = (text: string, bigEndian = false): Uint8Array => {
    const bytes = new Uint8Array(2 * text.length);
    const view = new DataView(bytes.buffer);
    for (let i = 0; i < text.length; i++) view.setUint16(2 * i, text.charCodeAt(i), !bigEndian);
    return bytes;
  };

  it('reads UTF-16 of either order, and loses only the row with half a character', async () => {
    for (const bigEndian of [false, true]) {
      const text = `\ufeff${line('Ä 🙂')}\r\n${line('half \ud83d').replace('\\ud83d', '\ud83d')}\n${line('c')}`;
      expect(await summary(utf16(text, bigEndian), 'a.jsonl')).toEqual({
        kept: ['Ä 🙂', 'c'],
        lost: ['2 is not valid UTF-8'],
      });
      expect((await summary(joined(utf16(text, bigEndian), Uint8Array.of(7)), 'a.jsonl')).kept).toEqual(['Ä 🙂']);
    }
    for (const bigEndian of [false, true]) {
      const refused = parse(utf16('prompt,response\np,r\nq,s', bigEndian), 'a.csv');
      await expect(refused).rejects.toThrow(/UTF-16 without a byte order mark/);
    }
  });

  it('loses only the rows in UTF-16 of a file in UTF-8, however few rows it has', async () => {
    const foreign = utf16(line('ä'.repeat(2000)));
    const rows = [utf8(line('a')), utf8(line('b')), utf8(line('c'))];
    for (let at = 0; at <= rows.length; at++) {
      const file = joined(...[...rows.slice(0, at), foreign, ...rows.slice(at)].flatMap((each) => [each, '\n']));
      expect(await summary(file, 'a.jsonl')).toEqual({ kept: ['a', 'b', 'c'], lost: [`${at + 1} is not valid UTF-8`] });
    }
  });

  it('ends lines at CR where there is no LF, and not inside quotes', async () => {
    expect(await summary('prompt,response\rp,r\r"q\r1",r\r', 'a.csv')).toEqual({ kept: ['p', 'q\r1'], lost: [] });
    expect((await parse('prompt,response\r"a\rb",r\rc,r', 'a.csv')).rows.map((each) => each.line)).toEqual([2, 4]);
    expect(await summary(`${line('a')}\r\r${line('b')}\r`, 'a.jsonl')).toEqual({ kept: ['a', 'b'], lost: [] });
    expect(await summary(`[\r${line('a')},\r${line('b')}\r]`, 'a.json')).toEqual({ kept: ['a', 'b'], lost: [] });
  });

  it('loses only the row in another encoding', async () => {
    const latin1 = Uint8Array.of(0x63, 0x61, 0x66, 0xe9);
    const file = joined('prompt,response\na,r\n', latin1, ',r\nb,r\n');
    expect(await summary(file, 'a.csv')).toEqual({ kept: ['a', 'b'], lost: ['3 is not valid UTF-8'] });
  });

  it('keeps NUL where it is written as JSON has it, and loses the row where it is a raw byte', async () => {
    expect((await summary(`${line('a\0')}\n${line('b')}`, 'a.jsonl')).kept).toEqual(['a\0', 'b']);
    expect(await summary(joined(line('a'), '\n{"prompt":"', Uint8Array.of(0), '"}\n', line('b')), 'a.jsonl')).toEqual({
      kept: ['a', 'b'],
      lost: ['2 is not valid JSON'],
    });
    expect(await summary('prompt,response\na,r\nn\0,r\nb,r', 'a.csv')).toEqual({
      kept: ['a', 'b'],
      lost: ['3 holds a NUL character'],
    });
  });
});

describe('sizes', () => {
  it.each(['', '\n\n \t\r\n', '\ufeff', '\ufeff\n'])('refuses %j as empty', async (text) => {
    for (const name of ['a.json', 'a.jsonl', 'a.csv', 'a.txt']) {
      await expect(parse(text, name)).rejects.toMatchObject({ code: 'empty-file' });
    }
    await expect(parse(new Uint8Array(gzipSync(text)), 'a.gz')).rejects.toMatchObject({ code: 'empty-file' });
  });

  it(
    'loses a line of 50 MB with its number, and nothing else',
    async () => {
      const huge = 'x'.repeat(50_000_000);
      const lost = [expect.stringMatching(/^3 is \d+ bytes long, expected at most 1048576$/)];
      for (const [name, file] of [
        ['a.jsonl', `${line('a')}\n\n${line(huge)}\n${line('b')}`],
        ['a.json', `[\n${line('a')},\n${line(huge)},\n${line('b')}]`],
        ['a.json', `{"data": [\n${line('a')},\n${line(huge)},\n${line('b')}]}`],
        ['a.csv', `prompt,response\na,r\n${huge},r\nb,r`],
      ] as const) {
        expect(await summary(file, name)).toEqual({ kept: ['a', 'b'], lost });
      }
      const text = await parse(`One\n\n${huge}\n\nTwo`, 'a.txt');
      expect([text.rows.length, text.rejected.map((each) => each.line)]).toEqual([2, [3]]);
      const quoted = await summary(`prompt,response\na,r\n"${huge},r\nb,r`, 'a.csv');
      expect(quoted).toEqual({ kept: ['a', 'b'], lost: ['3 has a quote that is neither closed nor doubled'] });
    },
    PATIENT,
  );

  it(
    'reads 100 000 rows',
    async () => {
      const rows = Array.from({ length: 100_000 }, (_, i) => ({
        prompt: `What is ${i} plus ${i % 7}?`,
        response: `${i + (i % 7)}`,
      }));
      for (const [name, file] of [
        ['a.jsonl', rows.map((each) => JSON.stringify(each)).join('\n')],
        ['a.json', JSON.stringify(rows)],
        ['a.csv', `prompt,response\n${rows.map((each) => `"${each.prompt}",${each.response}`).join('\n')}`],
        ['a.parquet', parquetOf(rows, { codec: 'SNAPPY', rowGroupSize: 10_000 })],
      ] as const) {
        const { rows: read, card } = await parse(file, name);
        expect([read.length, card.rejectedRows, card.duplicateRows]).toEqual([100_000, 0, 0]);
        expect(read[99_999]).toMatchObject({ prompt: 'What is 99999 plus 4?', response: '100003' });
      }
    },
    PATIENT,
  );

  it(
    'comes to an end with a long file, whatever is broken in it',
    async () => {
      const n = 200_000;
      for (const [name, file] of [
        ['a.json', `[\n${'{"prompt":"p",\n'.repeat(n)}]`], // none of them is closed
        ['a.json', `[${'{"prompt":'.repeat(n)}`],
        ['a.json', `{\n${'"k": {\n'.repeat(n)}}`],
        ['a.json', `[${','.repeat(n)}]`],
        ['a.json', `[${'"'.repeat(n)}\n]`],
        ['a.jsonl', `${'{'.repeat(n)}\n${line('a')}`],
        ['a.csv', `prompt,response\n${'"open,r\n'.repeat(n)}`],
        ['a.csv', `prompt,response\n${'"""'.repeat(n)}`],
        ['a.csv', `prompt,response\n"${'""\n'.repeat(n)}`],
        ['a.txt', `${' \n.\n'.repeat(n)}`],
      ] as const) {
        await parse(file, name).catch((error: unknown) => expect(error).toBeInstanceOf(DataError));
      }
    },
    PATIENT,
  );
});

describe('rows', () => {
  it('may nest deeply, be doubled, be blank, or be numbers', async () => {
    const deep = `{"prompt":"d","response":${'['.repeat(200_000)}${']'.repeat(200_000)}}`;
    const nest = `{"messages":[{"role":"user","content":"q"},{"role":"assistant","tool_calls":${'['.repeat(200_000)}${']'.repeat(200_000)}}]}`;
    const file = [
      line('a'),
      '',
      line('a'),
      deep,
      nest,
      '{"text":"t","label":0}',
      '{"prompt":"","response":""}',
      '{}',
      line('b'),
    ];
    const { rows, rejected, card } = await parse(file.join('\n'), 'a.jsonl');
    expect(rows.map((each) => [each.line, each.prompt, each.response])).toEqual([
      [1, 'a', 'r'],
      [6, 't', '0'],
      [9, 'b', 'r'],
    ]);
    expect(rejected.map((each) => each.line)).toEqual([4, 5, 7, 8]);
    expect(card).toMatchObject({ duplicateRows: 1, emptyRows: 1, rejectedRows: 4 });
    const kept = await parseDataset(utf8(deep.replace('"response"', '"response":"r","deep"')), {
      fileName: 'a.jsonl',
      keepColumns: ['deep'],
    });
    expect(kept.rows).toHaveLength(1);
  });

  it('are never quoted in the reason why they are rejected', async () => {
    const secret = 'Zyx42secret';
    const records = [
      { prompt: secret, response: '' },
      { messages: [{ role: secret, content: secret }] },
      { messages: [{ role: 'user', content: secret }] },
      { prompt: secret, chosen: secret, rejected: secret },
      { instruction: secret, input: [secret], output: secret },
      { colour: secret },
      secret,
    ];
    const files: [string, Uint8Array][] = [
      ['a.json', utf8(JSON.stringify(records))],
      ['a.jsonl', utf8(records.map((each) => JSON.stringify(each).slice(0, -1)).join('\n'))],
      ['a.csv', utf8(`prompt,response\n"${secret}" x,r\n${secret}\n${secret},`)],
      ['a.parquet', parquetOf([{ prompt: secret, response: null }])],
    ];
    for (const [fileName, bytes] of files) {
      const both = [
        await parseDataset(bytes, { fileName }).catch((error: DataError) => error),
        await parsePreferences(bytes, { fileName }),
      ];
      for (const result of both) {
        const reasons = result instanceof DataError ? [result.message] : result.rejected.map(({ reason }) => reason);
        expect(reasons.length).toBeGreaterThan(0);
        expect(reasons.join()).not.toContain(secret);
      }
    }
  });
});

describe('any file', () => {
  const text = fc
    .string({ unit: 'binary', maxLength: 30 })
    .filter((value) => value.trim() !== '' && value !== '\ufeff');
  const nasty = fc.constantFrom(
    '"',
    '""',
    '",',
    '\r',
    '\n',
    '\r\n',
    '\t',
    ';',
    ',',
    '\\',
    '\ufeff',
    'PAR1',
    '[',
    '{"',
    '\u2028',
    "'",
    '=1',
  );
  const value = fc.array(fc.oneof(text, nasty), { minLength: 1, maxLength: 4 }).map((parts) => `${parts.join('')}.`);
  const rowsOf = fc.uniqueArray(fc.record({ prompt: value, response: value }), {
    minLength: 1,
    maxLength: 6,
    selector: (each) => JSON.stringify(each),
  });

  it('gives back its rows from every container', async () => {
    await fc.assert(
      fc.asyncProperty(rowsOf, async (rows) => {
        const quoted = (field: string) => `"${field.replaceAll('"', '""')}"`;
        const table = (delimiter: string, end: string) =>
          [
            `prompt${delimiter}response`,
            ...rows.map((each) => quoted(each.prompt) + delimiter + quoted(each.response)),
          ].join(end) + end;
        const jsonl = rows.map((each) => JSON.stringify(each)).join('\n');
        const files: Record<string, string | Uint8Array> = {
          'a.json': JSON.stringify(rows),
          'b.json': `\ufeff${JSON.stringify(rows, null, '\t')}`,
          'c.json': JSON.stringify({ data: rows, n: 1 }, null, 1),
          'd.json': JSON.stringify(Object.fromEntries(rows.map((each, i) => [`id ${i}`, each]))),
          'a.jsonl': jsonl,
          'b.jsonl': jsonl.replaceAll('\n', '\r\n'),
          'c.jsonl.gz': new Uint8Array(gzipSync(jsonl)),
          'a.parquet': parquetOf(rows, { codec: 'SNAPPY', rowGroupSize: 2 }),
        };
        if (!JSON.stringify(rows).includes('\\u0000')) {
          Object.assign(files, { 'a.csv': table(',', '\n'), 'b.csv': table(';', '\r\n'), 'a.tsv': table('\t', '\n') });
        }
        for (const [name, file] of Object.entries(files)) {
          const dataset = await parse(file, name);
          expect([name, dataset.rejected]).toEqual([name, []]);
          expect(dataset.rows.map(({ prompt, response }) => ({ prompt, response }))).toEqual(rows);
        }
      }),
      { numRuns: 100 },
    );
  });

  it('is answered with rows, rejections or a DataError, whatever is changed in it', async () => {
    const rows = [
      row('a "quoted" one'),
      row('b,\n"'),
      {
        messages: [
          { role: 'user', content: 'q' },
          { role: 'assistant', content: 'é' },
        ],
      },
    ];
    const files = [
      JSON.stringify(rows, null, 2),
      JSON.stringify({ data: rows }),
      JSON.stringify({ a: rows[0], b: rows[1] }, null, 1),
      rows.map((each) => JSON.stringify(each)).join('\r\n'),
      'prompt,response\n"a ""b""\n",r\n"c",d\n',
      'One.\n\nTwo.\n',
    ].map(utf8);
    files.push(new Uint8Array(gzipSync(files[0] ?? '')));
    const part = fc.oneof(
      fc.uint8Array({ maxLength: 4 }),
      fc
        .constantFrom('"', '{', '}', '[', ']', '\n', '\r', ',', ':', '\\', '\0', 'PAR1', '\x1f\x8b')
        .map((each) => Uint8Array.from(Buffer.from(each, 'latin1'))),
    );
    const place = fc.double({ min: 0, max: 1, noNaN: true });
    const changes = fc.array(fc.record({ at: place, cut: fc.nat({ max: 5 }), put: part }), {
      minLength: 1,
      maxLength: 4,
    });
    const names = fc.constantFrom('a.json', 'a.jsonl', 'a.csv', 'a.tsv', 'a.txt', 'a.gz', 'a.parquet', 'a');
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: files.length - 1 }),
        changes,
        names,
        fc.boolean(),
        async (file, made, fileName, pairs) => {
          let bytes = files[file] ?? new Uint8Array();
          for (const { at, cut, put } of made) {
            const start = Math.floor(at * bytes.length);
            bytes = joined(bytes.subarray(0, start), put, bytes.subarray(start + cut));
          }
          try {
            const read = await (pairs ? parsePreferences(bytes, { fileName }) : parseDataset(bytes, { fileName }));
            for (const each of [...read.rows, ...read.rejected]) expect(each.line).toBeGreaterThanOrEqual(1);
          } catch (error) {
            if (!(error instanceof DataError)) throw error;
          }
        },
      ),
      { numRuns: 1500 },
    );
  });
});
