import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DataError } from './error.ts';
import { type ParseOptions, parseDataset } from './parse-dataset.ts';

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const parse = (text: string | Uint8Array, fileName: string, options: Partial<ParseOptions> = {}) =>
  parseDataset(typeof text === 'string' ? utf8(text) : text, { fileName, ...options });
const joined = (...parts: (string | Uint8Array)[]): Uint8Array =>
  Uint8Array.from(parts.flatMap((part) => [...(typeof part === 'string' ? utf8(part) : part)]));

async function codeOf(run: () => Promise<unknown>): Promise<string> {
  try {
    await run();
  } catch (error) {
    if (error instanceof DataError) return error.code;
    throw error;
  }
  return 'did not throw';
}

describe('formats', () => {
  const chat = (...turns: [string, string][]) => turns.map(([role, content]) => ({ role, content }));
  it.each([
    ['alpaca', { instruction: 'Add.', input: '1 2', output: '3' }, { prompt: 'Add. 1 2', response: '3' }],
    [
      'alpaca',
      { instruction: 'Say hi.', input: '', output: 'hi', chosen: 'hi', rejected: 'no' },
      { prompt: 'Say hi.', response: 'hi' },
    ],
    ['prompt', { prompt: 'p', completion: 'r' }, { prompt: 'p', response: 'r' }],
    ['question', { Question: 'q?', Answer: 'a' }, { prompt: 'q?', response: 'a' }],
    ['question', { problem: 'x+1=2', solution: 'x=1', level: 3 }, { prompt: 'x+1=2', response: 'x=1' }],
    ['input-output', { input: 'i', output: 'o' }, { prompt: 'i', response: 'o' }],
    ['classification', { text: 't', label: 2 }, { prompt: 't', response: '2' }],
    ['conversation', { messages: chat(['user', 'u'], ['assistant', 'a']) }, { prompt: 'u', response: 'a' }],
    [
      'conversation',
      { messages: chat(['system', 's'], ['user', 'u'], ['assistant', 'a']) },
      { prompt: 's\n\nu', response: 'a' },
    ],
    [
      'conversation',
      {
        conversations: [
          { from: 'human', value: 'h' },
          { from: 'gpt', value: 'g' },
        ],
      },
      { prompt: 'h', response: 'g' },
    ],
  ])('reads %s: %j', async (format, record, row) => {
    const dataset = await parse(JSON.stringify([record]), 'a.json');
    expect(dataset.rows).toEqual([{ ...row, line: 1 }]);
    expect(dataset.format).toBe(format);
    expect((await parse(JSON.stringify(record), 'a.jsonl')).rows).toEqual([{ ...row, line: 1 }]);
  });

  it.each([
    [{ instruction: 1, output: 2 }, '1', '2'],
    [{ instruction: 'Square.', input: 3, output: 9 }, 'Square. 3', '9'],
    [{ question: 1, answer: true }, '1', 'true'],
  ])('reads numbers as text: %j', async (record, prompt, response) => {
    expect((await parse(JSON.stringify(record), 'a.jsonl')).rows).toEqual([{ prompt, response, line: 1 }]);
  });

  it.each([
    ['{"question":"q","answer":1e400}', 'answer is not a finite number'],
    ['{"question":-1e400,"answer":"a"}', 'question is not a finite number'],
    ['{"instruction":"i","input":1e400,"output":"o"}', 'input is not a finite number'],
    ['{"prompt":"p","response":"r","Response":"s"}', 'response is there more than once, with different values'],
  ])('rejects %s', async (record, reason) => {
    const { rows, rejected } = await parse(`${record}\n{"prompt":"p","response":"r","Response":"r"}`, 'a.jsonl');
    expect(rejected).toEqual([{ line: 1, reason }]);
    expect(rows).toEqual([{ prompt: 'p', response: 'r', line: 2 }]);
  });

  it.each(['output,output', 'output,Output', ' output , OUTPUT'])(
    'reads columns %s where they agree',
    async (twice) => {
      const file = `instruction,${twice},,\na,b,b,1,2\nc,d,e,,\nf,g,,,`;
      const { rows, rejected } = await parse(file, 'a.csv');
      expect(rows).toEqual([{ prompt: 'a', response: 'b', line: 2 }]);
      const reason = 'output is there more than once, with different values';
      expect(rejected).toEqual([3, 4].map((line) => ({ line, reason })));
      const kept = await parseDataset(new TextEncoder().encode(file), {
        fileName: 'a.csv',
        keepColumns: ['output'],
        mapping: { prompt: 'instruction', response: 'instruction' },
      });
      expect(kept.rows.map(({ columns }) => columns)).toEqual([{ output: 'b' }, {}, {}]);
    },
  );

  it.each([
    [{ prompt: 'p', response: '' }, 'response is empty'],
    [{ prompt: ' \n', response: 'r' }, 'prompt is empty'],
    [{ prompt: 'p', response: null }, 'has no response'],
    [{ prompt: 'p', response: { deep: 1 } }, 'response is not text'],
    [{ instruction: 'i', input: { a: 1 }, output: 'o' }, 'input is not text'],
    [{ instruction: 'i', context: ['c'], response: 'o' }, 'context is not text'],
    [{ instruction: ['i'], output: 'o' }, 'instruction is not text'],
    [{ prompt: 'p', chosen: 'c', rejected: 'r' }, 'preference pair'],
    [{ text: ' ' }, 'text is empty'],
    [{ text: ['a'] }, 'text is not text'],
    [{ messages: [{ role: 'user', content: 'u' }], label: false }, 'unwanted'],
    [{ messages: chat(['assistant', 'a'], ['user', 'b']) }, '2 turns'],
    [{ messages: [{ role: 'user' }, null] }, 'without text'],
    [{ colour: 'red' }, 'fields colour'],
    ['text', 'is a string'],
    [null, 'is null'],
    [[1], 'is an array'],
  ])('rejects %j', async (record, reason) => {
    const dataset = await parse(JSON.stringify([record, { prompt: 'p', response: 'r' }]), 'a.json');
    expect(dataset.rejected).toEqual([{ line: 1, reason: expect.stringContaining(reason) }]);
    expect(dataset.rows).toHaveLength(1);
  });
});

describe('containers', () => {
  it('reads CSV with quotes, CRLF, a BOM and lines in fields, and counts lines of the file', async () => {
    const text = '\ufefftext,label\r\n"a, ""b""",0\r\n"two\r\nlines",1\r\n\r\nplain "quote" inside,2\r\nlast,3';
    const { rows, card, rejected } = await parse(text, 'a.csv');
    expect(rejected).toEqual([]);
    expect(rows).toEqual([
      { prompt: 'a, "b"', response: '0', line: 2 },
      { prompt: 'two\r\nlines', response: '1', line: 3 },
      { prompt: 'plain "quote" inside', response: '2', line: 6 },
      { prompt: 'last', response: '3', line: 7 },
    ]);
    expect(card).toMatchObject({ container: 'csv', emptyRows: 1, rows: 4 });
  });

  it('rejects broken CSV records one by one', async () => {
    const text = [
      'text,label',
      '"open,0',
      'fine,1',
      '"bad"quote,2',
      'one',
      'a,b,c',
      '"fine too",3',
      '"never closed,4',
    ].join('\n');
    const { rows, rejected } = await parse(text, 'a.csv');
    expect(rows.map(({ line }) => line)).toEqual([3, 7]);
    expect(rejected.map(({ line }) => line)).toEqual([2, 4, 5, 6, 8]);
    expect(rejected.map(({ reason }) => reason)).toContain('has 1 fields, expected 2');
  });

  it('finds tabs and semicolons, by name or by the header', async () => {
    for (const [text, name] of [
      ['text\tlabel\na, b\t1', 'a.tsv'],
      ['text;label\na, b;1', 'a.csv'],
      ['text\tlabel\na, b\t1', 'a.txt'],
    ] as const) {
      expect((await parse(text, name)).rows).toEqual([{ prompt: 'a, b', response: '1', line: 2 }]);
    }
  });

  it('reads UTF-16 with a byte order mark', async () => {
    const text = '\ufefftext\tlabel\r\nüber 你好\t1\r\n';
    const bytes = new Uint8Array(Uint16Array.from(text, (character) => character.charCodeAt(0)).buffer);
    expect((await parse(bytes, 'a.tsv')).rows).toEqual([{ prompt: 'über 你好', response: '1', line: 2 }]);
  });

  it('goes on after malformed JSON lines', async () => {
    const good = (i: number) => JSON.stringify({ prompt: `p${i}`, response: 'r' });
    const { rows, rejected, card } = await parse(
      `${good(1)}\r\n{"prompt": "p\n\n   \n${good(2)}\n[]\n${good(3)}`,
      'a.jsonl',
    );
    expect(rows.map(({ prompt, line }) => [prompt, line])).toEqual([
      ['p1', 1],
      ['p2', 5],
      ['p3', 7],
    ]);
    expect(rejected).toEqual([
      { line: 2, reason: 'is not valid JSON' },
      { line: 6, reason: 'is an array, expected an object' },
    ]);
    expect(card.emptyRows).toBe(2);
  });

  const pretty = (rows: readonly string[]) => `[\n${rows.map((row) => `  ${row}`).join(',\n')}\n]\n`;
  const item = (i: number) => `{\n    "prompt": "p${i} ] } , \\" {",\n    "response": "r"\n  }`;
  it.each([
    ['a brace that is not closed', item(2).slice(0, -1), 6],
    ['a string that is not closed', item(2).replace('"r"', '"r'), 6],
    ['a brace too many', `${item(2)}}`, 6],
    ['a bracket for a brace', item(2).replace(/}$/, ']'), 6],
    ['a bare word', 'oops', 6],
    ['a raw line end in a string', item(2).replace(/p2.*",/, 'p\n2",'), 6],
  ])('loses one element of a JSON array to %s', async (_, broken, line) => {
    const { rows, rejected } = await parse(pretty([item(1), broken, item(3), item(4)]), 'a.json');
    expect(rows.map(({ prompt }) => prompt.slice(0, 2))).toEqual(['p1', 'p3', 'p4']);
    expect(rejected.map((row) => row.line)).toEqual([line]);
  });

  it('keeps the elements before a JSON array breaks off', async () => {
    const text = pretty([item(1), item(2), item(3)]);
    const { rows, rejected } = await parse(text.slice(0, text.lastIndexOf('"response"')), 'a.json');
    expect(rows.map(({ line }) => line)).toEqual([2, 6]);
    expect(rejected).toHaveLength(1);
    const unclosed = await parse(text.slice(0, text.lastIndexOf(']')), 'a.json');
    expect(unclosed.rows).toHaveLength(3);
    expect(unclosed.rejected).toHaveLength(1);
  });

  it('rejects rows of bad UTF-8 in every container', async () => {
    const bad = Uint8Array.of(0xff, 0xc3, 0x28);
    const row = (text: string) => JSON.stringify({ prompt: text, response: 'r' });
    const files: [string, Uint8Array][] = [
      ['a.jsonl', joined(row('a'), '\n{"prompt": "', bad, '", "response": "r"}\n', row('c'))],
      ['a.json', joined('[', row('a'), '\n,{"prompt": "', bad, '", "response": "r"}\n,', row('c'), ']')],
      ['a.csv', joined('prompt,response\na,r\n', bad, ',r\nc,r')],
    ];
    for (const [name, bytes] of files) {
      const { rows, rejected } = await parse(bytes, name);
      expect(rows.map(({ prompt }) => prompt)).toEqual(['a', 'c']);
      expect(rejected).toEqual([{ line: name === 'a.csv' ? 3 : 2, reason: 'is not valid UTF-8' }]);
    }
  });

  it('rejects rows over 1 MiB and keeps their neighbours', async () => {
    const huge = 'x'.repeat(2 ** 20 + 1);
    const row = (text: string) => JSON.stringify({ prompt: text, response: 'r' });
    for (const [name, text] of [
      ['a.jsonl', [row('a'), row(huge), row('c')].join('\n')],
      ['a.json', `[${[row('a'), row(huge), row('c')].join(',')}]`],
      ['a.csv', `prompt,response\na,r\n"${huge}",r\nc,r`],
    ] as const) {
      const { rows, rejected } = await parse(text, name);
      expect(rows.map(({ prompt }) => prompt)).toEqual(['a', 'c']);
      expect(rejected).toEqual([{ line: expect.any(Number), reason: expect.stringContaining('1048576') }]);
    }
  });
});

describe('the import as a whole', () => {
  it('maps columns by name, in any case, and refuses names that are not there', async () => {
    const text = 'Goal,Target\nask,Sure\n,x';
    const mapped = await parse(text, 'a.csv', { mapping: { prompt: 'goal', response: 'TARGET' } });
    expect(mapped).toMatchObject({ format: 'mapping', rows: [{ prompt: 'ask', response: 'Sure', line: 2 }] });
    expect(mapped.rejected).toEqual([{ line: 3, reason: 'goal is empty' }]);
    await expect(parse(text, 'a.csv', { mapping: { prompt: 'goal', response: 'nope' } })).rejects.toThrow(
      /nope; got Goal, Target/,
    );
    expect(await parse(text, 'a.csv')).toMatchObject({ format: null, rows: [] });
    expect((await parse(text, 'a.csv')).rejected).toHaveLength(2);
  });

  it('names classes, keeps one of identical rows, and counts everything in the card', async () => {
    const text = 'text,label\na,0\nb,1\na,0\nc,0\nd,1\n\ne,\n';
    const { rows, card } = await parse(text, 'a.csv', { responseNames: { '0': 'negative', '1': 'positive' } });
    expect(rows.map(({ response }) => response)).toEqual(['negative', 'positive', 'negative', 'positive']);
    expect(card).toMatchObject({
      fileName: 'a.csv',
      fileBytes: text.length,
      container: 'csv',
      rows: 4,
      rejectedRows: 1,
      emptyRows: 1,
      duplicateRows: 1,
      responseCounts: [
        { response: 'negative', count: 2 },
        { response: 'positive', count: 2 },
      ],
    });
  });

  it.each([
    ['', 'a.csv', 'empty-file'],
    ['\ufeff \r\n\t\n', 'a.jsonl', 'empty-file'],
    ['PAR1\u0000', 'a.parquet', 'damaged'],
    ['PK\u0003\u0004', 'a.xlsx', 'unsupported-format'],
    ['\u001f\u008b', 'a.csv', 'did not throw'], // UTF-8 of these characters is not gzip's magic
    ['some\u0000bytes', 'a.bin', 'unsupported-format'],
    ['{\n "a": 1,\n "b": ["c"]\n}', 'a.json', 'unsupported-format'],
    ['A story, told in lines.\nIt goes on, and on.', 'a.text', 'unsupported-format'],
    ['true', 'a.json', 'unsupported-format'],
  ])('answers %j in %s with %s', async (text, name, code) => {
    expect(await codeOf(() => parse(text, name))).toBe(code);
  });

  it('reads back any rows from any container', async () => {
    const text = fc
      .string({ unit: 'binary', maxLength: 40 })
      .filter((value) => value.trim() !== '' && !value.includes('\0'));
    const rowsOf = fc.uniqueArray(fc.record({ prompt: text, response: text }), {
      minLength: 1,
      maxLength: 8,
      selector: (row) => JSON.stringify(row),
    });
    await fc.assert(
      fc.asyncProperty(rowsOf, async (rows) => {
        const quoted = (value: string) => `"${value.replaceAll('"', '""')}"`;
        const csv = (d: string) =>
          [`prompt${d}response`, ...rows.map((r) => `${quoted(r.prompt)}${d}${quoted(r.response)}`)].join('\r\n');
        const files = {
          'a.json': JSON.stringify(rows),
          'b.json': JSON.stringify(rows, null, 2),
          'a.jsonl': rows.map((row) => JSON.stringify(row)).join('\n'),
          'a.csv': csv(','),
          'b.csv': csv(';'),
          'a.tsv': csv('\t'),
        };
        for (const [name, file] of Object.entries(files)) {
          const dataset = await parse(file, name);
          expect(dataset.rejected).toEqual([]);
          expect(dataset.rows.map(({ prompt, response }) => ({ prompt, response }))).toEqual(rows);
        }
      }),
    );
  });

  it('answers any bytes with rows, rejections or a DataError, and lines within the file', async () => {
    const pieces = fc.constantFrom(
      '[',
      '{',
      '}',
      ']',
      '"',
      ',',
      '\n',
      '\r\n',
      '\\',
      'prompt',
      ':',
      'response',
      '"prompt":"a","response":"b"',
      '\t',
      ' ',
      'é',
    );
    const file = fc.oneof(
      fc.array(pieces).map((parts) => utf8(parts.join(''))),
      fc.uint8Array({ maxLength: 60 }),
    );
    await fc.assert(
      fc.asyncProperty(
        file,
        fc.constantFrom('a.json', 'a.jsonl', 'a.csv', 'a.tsv', 'a.txt', 'a'),
        async (bytes, fileName) => {
          try {
            const { rows, rejected } = await parseDataset(bytes, { fileName });
            for (const { line } of [...rows, ...rejected]) expect(line).toBeGreaterThanOrEqual(1);
          } catch (error) {
            expect(error).toBeInstanceOf(DataError);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});
