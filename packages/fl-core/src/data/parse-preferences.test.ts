import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DataError } from './error.ts';
import { parsePreferences } from './parse-preferences.ts';

const parse = (content: unknown, fileName = 'a.jsonl') =>
  parsePreferences(new TextEncoder().encode(typeof content === 'string' ? content : JSON.stringify(content)), {
    fileName,
  });
const say = (...turns: [string, string][]) => turns.map(([role, content]) => ({ role, content }));

describe('formats', () => {
  const transcript = (answer: string) =>
    `\n\nHuman: What is a quay?\n\nAssistant: A landing place.\n\nHuman: And a pier?\n\nAssistant: ${answer}`;
  it.each([
    ['answers', { prompt: 'q', chosen: 'a', rejected: 'b' }, { turns: ['q'], chosen: 'a', rejected: 'b' }],
    ['answers', { Question: 'q', CHOSEN: 'a', Rejected: 'b' }, { turns: ['q'], chosen: 'a', rejected: 'b' }],
    [
      'transcripts',
      { chosen: transcript('I would say: a jetty.'), rejected: transcript('I think not.') },
      {
        turns: ['What is a quay?', 'A landing place.', 'And a pier?'],
        chosen: 'I would say: a jetty.', // whole answers, though both begin with the same letters
        rejected: 'I think not.',
      },
    ],
    [
      'lists',
      { prompt: 'q', chosen: say(['user', 'q'], ['assistant', 'a']), rejected: say(['user', 'q'], ['assistant', 'b']) },
      { turns: ['q'], chosen: 'a', rejected: 'b' },
    ],
    [
      'lists',
      {
        chosen: [
          { from: 'system', value: 's' },
          { from: 'human', value: 'q' },
          { from: 'gpt', value: 'r' },
          { from: 'human', value: 'q2' },
          { from: 'gpt', value: 'a' },
        ],
        rejected: say(['system', 's'], ['user', 'q'], ['assistant', 'r'], ['user', 'q2'], ['assistant', 'b']),
      },
      { turns: ['s\n\nq', 'r', 'q2'], chosen: 'a', rejected: 'b' },
    ],
    [
      'lists',
      { prompt: 'q', chosen: say(['assistant', 'a']), rejected: say(['assistant', 'b']) },
      { turns: ['q'], chosen: 'a', rejected: 'b' },
    ],
  ])('reads %s: %j', async (format, record, row) => {
    expect(await parse([record], 'a.json')).toMatchObject({ format, rejected: [], rows: [{ ...row, line: 1 }] });
    expect((await parse(record)).rows).toEqual([{ ...row, line: 1 }]);
  });

  it.each([
    [{ prompt: 'q', chosen: 'a', rejected: 'a' }, 'the same'],
    [{ prompt: ' ', chosen: 'a', rejected: 'b' }, 'empty turn'],
    [{ prompt: 'q', chosen: 'a', rejected: ' \n' }, 'rejected is empty'],
    [{ prompt: 'q', response: 'a' }, 'fields prompt, response'],
    [{ chosen: 'a', rejected: 'b' }, 'no transcript'],
    [{ chosen: 'hm\n\nHuman: q\n\nAssistant: a', rejected: '\n\nHuman: q\n\nAssistant: b' }, 'no transcript'],
    [{ chosen: '\n\nHuman: q\n\nAssistant: a', rejected: '\n\nHuman: p\n\nAssistant: b' }, 'differ before'],
    [{ chosen: '\n\nHuman: q\n\nAssistant: a', rejected: '\n\nHuman: q\n\nHuman: r' }, 'rejected: is no dialogue'],
    [{ chosen: '\n\nHuman: q', rejected: '\n\nHuman: q\n\nAssistant: b' }, 'chosen: is no dialogue'],
    [{ chosen: [], rejected: say(['user', 'q'], ['assistant', 'b']) }, 'chosen: is no dialogue'],
    [{ chosen: [null], rejected: [] }, 'without text'],
    [{ prompt: 'q', chosen: 5, rejected: 'b' }, 'fields prompt, chosen, rejected'],
    [null, 'is null'],
  ])('rejects %j', async (record, reason) => {
    const { rows, rejected } = await parse([record, { prompt: 'q', chosen: 'a', rejected: 'b' }], 'a.json');
    expect(rejected).toEqual([{ line: 1, reason: expect.stringContaining(reason) }]);
    expect(rows).toHaveLength(1);
  });
});

describe('the import as a whole', () => {
  it('counts blank and repeated rows, and goes on after broken lines', async () => {
    const row = JSON.stringify({ prompt: 'q', chosen: 'a', rejected: 'b' });
    const { rows, rejected, emptyRows, duplicateRows } = await parse(`${row}\n\n{"prompt":\n${row}\n{"prompt": "q"}`);
    expect(rows).toHaveLength(1);
    expect(rejected.map(({ line }) => line)).toEqual([3, 5]);
    expect([emptyRows, duplicateRows]).toEqual([1, 1]);
  });

  it('reads tables, and refuses an empty file', async () => {
    expect((await parse('prompt,chosen,rejected\nq,"a, b",c\n', 'a.csv')).rows).toEqual([
      { turns: ['q'], chosen: 'a, b', rejected: 'c', line: 2 },
    ]);
    await expect(parse(' \n')).rejects.toThrow(DataError);
  });

  it('gives back the dialogue of any transcript', async () => {
    const text = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 20 })
      .map((value) => value.trim())
      .filter((value) => value !== '' && !/Human:|Assistant:/.test(value));
    const dialogue = fc.tuple(text, fc.array(fc.tuple(text, text), { maxLength: 3 }), text, text);
    await fc.assert(
      fc.asyncProperty(dialogue, async ([question, more, chosen, rejected]) => {
        fc.pre(chosen !== rejected);
        const turns = [question, ...more.flat()];
        const written = (answer: string) =>
          [...turns, answer].map((turn, i) => `\n\n${i % 2 ? 'Assistant' : 'Human'}: ${turn}`).join('');
        const { rows } = await parse({ chosen: written(chosen), rejected: written(rejected) });
        expect(rows).toEqual([{ turns, chosen, rejected, line: 1 }]);
      }),
    );
  });
});
