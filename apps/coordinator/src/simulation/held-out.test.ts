import type { TaskRows } from '@cotune/fl-core';
import { expect, test } from 'vitest';
import { promptsOf, splitOff, withoutPrompts } from './held-out.ts';

const sft = (prompts: readonly string[]): TaskRows => ({
  task: 'sft',
  rows: prompts.map((prompt, i) => ({ prompt, response: `answer ${i}`, line: i + 1 })),
});
const linesOf = (rows: TaskRows) => rows.rows.map(({ line }) => line);

test('rows of equal prompt are held out together, about as many as asked for', () => {
  const rows = sft(Array.from({ length: 100 }, (_, i) => `question ${i % 30}`));
  for (const seed of ['a', 'b', 'c']) {
    const { heldOut, rest } = splitOff(rows, 0.2, seed);
    const prompts = new Set(heldOut.rows.map(({ line }) => (line - 1) % 30));
    expect(linesOf(rest).filter((line) => prompts.has((line - 1) % 30))).toEqual([]);
    expect(heldOut.rows.length).toBeGreaterThanOrEqual(17);
    expect(heldOut.rows.length).toBeLessThanOrEqual(20);
    expect([...linesOf(heldOut), ...linesOf(rest)].sort((a, b) => a - b)).toEqual(linesOf(rows));
  }
});

test('where no prompt comes twice the rows are those that were ever drawn, in the order of the file', () => {
  const { heldOut } = splitOff(sft(Array.from({ length: 12 }, (_, i) => `question ${i}`)), 0.3, '0/share/0');
  expect(linesOf(heldOut)).toEqual(DRAWN);
});
// Drawn by rows, before groups were.
const DRAWN = [4, 9, 10, 11];

test('at least one group is held out, the smallest where all are too large', () => {
  const { heldOut } = splitOff(sft(['a', 'b', 'a', 'b', 'a']), 0.1, 'x');
  expect(linesOf(heldOut)).toEqual([2, 4]);
});

test('a prompt is all that comes before the answer; text without one stands for itself', () => {
  const dpo: TaskRows = {
    task: 'dpo',
    rows: [
      { turns: ['q'], chosen: 'a', rejected: 'b', line: 1 },
      { turns: ['q'], chosen: 'c', rejected: 'd', line: 2 },
      { turns: ['q', 'a', 'r'], chosen: 'c', rejected: 'd', line: 3 },
    ],
  };
  expect(new Set(promptsOf(dpo)).size).toBe(2);
  expect(linesOf(withoutPrompts(dpo, new Set(promptsOf(dpo).slice(0, 1))).rest)).toEqual([3]);
  const history = [{ prompt: 'before', response: 'yes' }];
  const rows: TaskRows = {
    task: 'sft',
    rows: [
      { prompt: 'q', response: 'a', line: 1 },
      { prompt: 'q', response: 'b', history, line: 2 },
      { prompt: '', response: 'one text', line: 3 },
      { prompt: '', response: 'another', line: 4 },
    ],
  };
  expect(new Set(promptsOf(rows)).size).toBe(4);
  expect(withoutPrompts(rows, new Set(promptsOf(sft(['q']))))).toMatchObject({ left: 1 });
});
