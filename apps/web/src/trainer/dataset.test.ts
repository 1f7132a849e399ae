import { loadTokenizer, openTemplate } from '@cotune/fl-core';
import { describe, expect, it } from 'vitest';
import { tinyTokenizerJson } from '../../../../packages/fl-core/src/data/tiny-tokenizer.ts';
import { COLUMN_ROLES, fileColumns, NO_COLUMNS } from './columns.ts';
import { readDataset } from './dataset.ts';
import type { DataSettings } from './messages.ts';
import type { ModelText } from './model-text.ts';

const tokenizer = loadTokenizer(tinyTokenizerJson(), { bosTokenId: 1, eosTokenIds: [2] });
const text: ModelText = { tokenizer, template: (choice) => openTemplate(choice, null, tokenizer) };
const settings = (task: 'sft' | 'dpo', maxSeqLength = 64): DataSettings => ({
  modelUrl: '',
  task,
  dpo: { beta: 0.1 },
  template: 'plain',
  maxSeqLength,
});
const file = (name: string, text: string) => ({ name, bytes: new TextEncoder().encode(text) });
const lines = (rows: readonly object[]) => rows.map((row) => JSON.stringify(row)).join('\n');

describe('supervised rows', () => {
  it('reports the balance of few answers, and the rows left out by reason', async () => {
    const rows = ['yes', 'yes', 'no', 'yes', 'no'].map((response, i) => ({ prompt: `q${i}`, response }));
    const content = `${lines(rows)}\n{"prompt": "a"}\n${lines([rows[0] ?? {}, { prompt: 'b' }])}\n{"prompt": "b`;
    const { report } = await readDataset(file('rows.jsonl', content), null, text, settings('sft'));
    expect(report).toMatchObject({ task: 'sft', examples: 5, duplicates: 1, rejectedCount: 3, columns: null });
    expect(report.answerCounts).toEqual([
      { answer: 'yes', count: 3 },
      { answer: 'no', count: 2 },
    ]);
    expect(report.rejections.map(({ count, lines: at }) => [count, at])).toEqual([
      [2, [6, 8]],
      [1, [9]],
    ]);
    // BOS, ▁ q 0, ▁ y e s, EOS: nine tokens; of "no" two pieces with its space, ▁n o.
    expect(report.tokens.histogram.reduce((sum, { count }) => sum + count, 0)).toBe(5);
    expect(report.tokens).toMatchObject({ max: 9, total: 9 + 9 + 7 + 9 + 7, truncated: 0 });
  });
  it('shows the turns before the one that is learnt', async () => {
    const turns = ['one', 'two', 'three', 'four', 'five', 'six'];
    const messages = turns.map((content, i) => ({ role: i % 2 === 0 ? 'user' : 'assistant', content }));
    const { report } = await readDataset(file('chat.jsonl', lines([{ messages }])), null, text, settings('sft', 512));
    expect(report.preview[0]).toMatchObject({ earlierTurns: 2, prompt: 'five', answers: ['six'] });
    expect(report.preview[0]?.earlier.join()).toContain('three');
  });
});

describe('preference pairs', () => {
  const pairs = [
    { prompt: 'Why?', chosen: 'Because.', rejected: 'No.' },
    { prompt: 'Who?', chosen: 'Me', rejected: 'Nobody at all' },
  ];
  it('shows question, chosen and rejected, and counts both sequences', async () => {
    const { report, data } = await readDataset(file('p.jsonl', lines(pairs)), null, text, settings('dpo'));
    expect(report.preview.map(({ prompt, answers }) => [prompt, ...answers])).toEqual(
      pairs.map(({ prompt, chosen, rejected }) => [prompt, chosen, rejected]),
    );
    expect(data.task === 'dpo' && data.pairs).toHaveLength(2);
    const sizes =
      data.task === 'dpo' ? data.pairs.map((p) => [p.chosen.inputIds.length, p.rejected.inputIds.length]) : [];
    expect(report.tokens.total).toBe(sizes.flat().reduce((sum, n) => sum + n, 0));
    expect(report.tokens.max).toBe(Math.max(...sizes.flat()));
    expect(report.answerCounts).toBeNull();
  });
  it('shows the question of a dialogue after its earlier turns', async () => {
    const before = '\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: Why?\n\nAssistant:';
    const content = lines([{ chosen: `${before} Because.`, rejected: `${before} No.` }]);
    const { report } = await readDataset(file('hh.jsonl', content), null, text, settings('dpo'));
    expect(report.preview[0]).toMatchObject({ earlierTurns: 1, prompt: 'Why?', answers: ['Because.', 'No.'] });
    expect(report.preview[0]?.earlier).toEqual(['Hi → Hello']);
  });
  it('is of no use to a supervised run, which says why', async () => {
    const { report } = await readDataset(file('p.jsonl', lines(pairs)), null, text, settings('sft'));
    expect(report).toMatchObject({ examples: 0, rejectedCount: 2 });
    expect(report.rejections[0]?.reason).toContain('preference pair');
  });
});

describe('chosen columns', () => {
  const odd = file('odd.csv', 'Frage;Antwort gut;Antwort schlecht;id\nWarum?;Darum.;Nein.;1\nWer?;;Du;2\n');
  const choice = { ...NO_COLUMNS, prompt: 'Frage', chosen: 'Antwort gut', rejected: 'Antwort schlecht' };
  it('are found with some of their values', async () => {
    expect(await fileColumns(odd.bytes, odd.name)).toEqual([
      { name: 'Frage', samples: ['Warum?', 'Wer?'] },
      { name: 'Antwort gut', samples: ['Darum.'] },
      { name: 'Antwort schlecht', samples: ['Nein.', 'Du'] },
      { name: 'id', samples: ['1', '2'] },
    ]);
    const deep = file('deep.jsonl', lines([{ a: [{ b: 'x'.repeat(300) }], c: null }]));
    const [a, c] = await fileColumns(deep.bytes, deep.name);
    expect(a?.samples[0]).toMatch(/^\[\{"b":"x+…$/);
    expect(c).toEqual({ name: 'c', samples: [] });
  });
  it('make pairs of a file whose own names say nothing', async () => {
    const before = await readDataset(odd, null, text, settings('dpo'));
    expect(before.report.examples).toBe(0);
    const { report } = await readDataset(odd, choice, text, settings('dpo'));
    expect(report).toMatchObject({ examples: 1, rejectedCount: 1, columns: choice });
    expect(report.preview[0]).toMatchObject({ line: 2, prompt: 'Warum?', answers: ['Darum.', 'Nein.'] });
    expect(report.rejections[0]?.lines).toEqual([3]);
  });
  it('make prompts and answers', async () => {
    const mapped = { ...NO_COLUMNS, prompt: 'Frage', response: 'Antwort schlecht' };
    const { report } = await readDataset(odd, mapped, text, settings('sft'));
    expect(report.preview.map(({ prompt, answers }) => [prompt, ...answers])).toEqual([
      ['Warum?', 'Nein.'],
      ['Wer?', 'Du'],
    ]);
    expect(Object.keys(mapped)).toEqual(expect.arrayContaining([...COLUMN_ROLES.sft]));
  });
});
