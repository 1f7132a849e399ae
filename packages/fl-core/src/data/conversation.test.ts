import { describe, expect, it } from 'vitest';
import { parseDataset } from './parse-dataset.ts';
import { parsePreferences } from './parse-preferences.ts';

const bytes = (record: unknown) => new TextEncoder().encode(JSON.stringify([record]));
const read = (record: unknown) => parseDataset(bytes(record), { fileName: 'a.json' });
const say = (...turns: [string, string][]) => turns.map(([from, value]) => ({ from, value }));
const chat = (...turns: [string, unknown][]) => turns.map(([role, content]) => ({ role, content }));

describe('conversations', () => {
  it.each([
    [
      'all turns',
      { conversations: say(['human', 'a'], ['gpt', 'b'], ['human', 'c'], ['gpt', 'd']) },
      { history: [{ prompt: 'a', response: 'b' }], prompt: 'c', response: 'd' },
    ],
    [
      'system turns before the next question',
      {
        messages: chat(
          ['system', 's'],
          ['user', 'a'],
          ['assistant', 'b'],
          ['system', ' '],
          ['system', 't'],
          ['user', 'c'],
          ['assistant', 'd'],
        ),
      },
      { history: [{ prompt: 's\n\na', response: 'b' }], prompt: 't\n\nc', response: 'd' },
    ],
    [
      'not an answer to nothing',
      { conversations: say(['gpt', 'x'], ['human', 'a'], ['gpt', 'b']) },
      { prompt: 'a', response: 'b' },
    ],
    [
      'not a question without an answer',
      { conversations: say(['human', 'a'], ['gpt', 'b'], ['human', 'c']) },
      { prompt: 'a', response: 'b' },
    ],
    [
      'calls of tools as answers, and what they answer as questions',
      {
        conversations: say(['human', 'a'], ['function_call', '{"f":1}'], ['observation', '2'], ['gpt', 'b']),
        tools: '[{"name":"f"}]',
      },
      { history: [{ prompt: '[{"name":"f"}]\n\na', response: '{"f":1}' }], prompt: '2', response: 'b' },
    ],
    [
      'calls of several tools, as chat APIs have them',
      {
        messages: [
          ...chat(['user', 'a']),
          { role: 'assistant', content: null, tool_calls: [{ function: { name: 'f' } }] },
          ...chat(['tool', '1'], ['tool', '2'], ['assistant', [{ type: 'text', text: 'b' }]]),
        ],
        tools: [],
      },
      { history: [{ prompt: 'a', response: '[{"function":{"name":"f"}}]' }], prompt: '1\n2', response: 'b' },
    ],
    [
      'prompt and completion as lists',
      { prompt: chat(['user', 'a']), completion: chat(['assistant', 'b']) },
      { prompt: 'a', response: 'b' },
    ],
    [
      'an Alpaca record with history and system',
      { instruction: 'c', input: 'in', output: 'd', history: [['a', 'b']], system: 's' },
      { history: [{ prompt: 's\n\na', response: 'b' }], prompt: 'c in', response: 'd' },
    ],
  ])('keep %s', async (_, record, row) => {
    expect(await read(record)).toMatchObject({ rejected: [], rows: [{ ...row, line: 1 }] });
    expect((await read(record)).rows).toEqual([{ ...row, line: 1 }]);
  });

  it.each([
    [{ messages: chat(['user', 'a'], ['user', 'b'], ['assistant', 'c']) }, 'has two turns of the user in a row'],
    [{ messages: chat(['user', 'a'], ['assistant', ' ']) }, 'has an empty turn'],
    [{ messages: chat(['user', 'a'], ['judge', 'b']) }, 'has a turn of an unknown speaker'],
    [{ messages: [{ role: { toString: 1 }, content: 'a' }] }, 'has a turn of an unknown speaker'],
    [{ messages: chat(['user', 'a'], ['assistant', 'b'], ['system', 'c']) }, 'ends in a system turn'],
    [{ messages: [] }, 'has 0 turns, expected a question and its answer'],
    [{ messages: chat(['user', 'a'], ['assistant', 'b']), label: false }, 'is labelled as an unwanted answer'],
    [{ prompt: 'a', completion: 'b', label: 'False' }, 'is labelled as an unwanted answer'],
    [{ instruction: 'a', output: 'b', history: ['c'] }, 'history is not a list of questions and answers'],
  ])('are rejected: %j', async (record, reason) => {
    expect(await read(record)).toMatchObject({ rows: [], rejected: [{ line: 1, reason }] });
  });

  it('that differ only in an earlier turn are two rows', async () => {
    const rows = ['x', 'y', 'x'].map((first) => ({
      messages: chat(['user', first], ['assistant', 'b'], ['user', 'c'], ['assistant', 'd']),
    }));
    const dataset = await parseDataset(new TextEncoder().encode(JSON.stringify(rows)), { fileName: 'a.json' });
    expect(dataset.rows.map(({ line }) => line)).toEqual([1, 1]);
    expect(dataset.card.duplicateRows).toBe(1);
  });
});

describe('other formats', () => {
  it.each([
    [
      'pubmedqa',
      { QUESTION: 'q?', CONTEXTS: ['a', 'b'], LONG_ANSWER: 'long', final_decision: 'yes' },
      { prompt: 'a\nb\n\nq?', response: 'yes' },
    ],
    [
      'pubmedqa',
      { question: 'q?', context: { contexts: ['a'] }, long_answer: 'long' },
      { prompt: 'a\n\nq?', response: 'long' },
    ],
    ['text', { text: 'words', url: 'u' }, { prompt: '', response: 'words' }],
    ['code', { text: 'task', code: 'pass', task_id: 1 }, { prompt: 'task', response: 'pass' }],
    ['alpaca', { instruction: 'i', context: 'c', response: 'r' }, { prompt: 'i c', response: 'r' }],
    ['prompt', { prompt: 'p', completion: 'r', label: true }, { prompt: 'p', response: 'r' }],
  ])('reads %s: %j', async (format, record, row) => {
    expect(await read(record)).toMatchObject({ format, rejected: [], rows: [{ ...row, line: 1 }] });
  });
});

describe('preferences', () => {
  const readPair = (record: unknown) => parsePreferences(bytes(record), { fileName: 'a.json' });
  it.each([
    [
      'continued',
      {
        conversations: say(['system', 's'], ['human', 'q'], ['gpt', 'r'], ['human', 't']),
        chosen: { from: 'gpt', value: 'a' },
        rejected: { from: 'gpt', value: 'b' },
      },
      { turns: ['s\n\nq', 'r', 't'], chosen: 'a', rejected: 'b' },
    ],
    [
      'continued',
      { prompt: chat(['user', 'q']), chosen: 'a', rejected: 'b' },
      { turns: ['q'], chosen: 'a', rejected: 'b' },
    ],
    [
      'lists',
      { prompt: chat(['user', 'q']), chosen: chat(['assistant', 'a']), rejected: chat(['assistant', 'b']) },
      { turns: ['q'], chosen: 'a', rejected: 'b' },
    ],
    [
      'answers',
      { instruction: 'i', input: 'in', output: 'o', chosen: 'a', rejected: 'b' },
      { turns: ['i in'], chosen: 'a', rejected: 'b' },
    ],
  ])('reads %s: %j', async (format, record, row) => {
    expect(await readPair(record)).toMatchObject({ format, rejected: [], rows: [{ ...row, line: 1 }] });
  });

  it('rejects answers that are not the next turn', async () => {
    const record = {
      conversations: say(['human', 'q'], ['gpt', 'r']),
      chosen: { from: 'gpt', value: 'a' },
      rejected: { from: 'gpt', value: 'b' },
    };
    expect((await readPair(record)).rejected).toEqual([
      { line: 1, reason: 'chosen: has two turns of the assistant in a row' },
    ]);
  });
});
