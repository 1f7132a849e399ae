import { expect, it } from 'vitest';
import { COLUMN_ROLES, NO_COLUMNS } from '../trainer/columns.ts';
import { choiceProblem } from './column-picker.tsx';

it('wants every column of the task, each once', () => {
  const { sft, dpo } = COLUMN_ROLES;
  expect(choiceProblem(sft, NO_COLUMNS)).toContain('“Prompt”');
  expect(choiceProblem(sft, { ...NO_COLUMNS, prompt: 'a' })).toContain('“Answer to learn”');
  expect(choiceProblem(sft, { ...NO_COLUMNS, prompt: 'a', response: 'a' })).toContain('“a” is chosen twice');
  expect(choiceProblem(sft, { ...NO_COLUMNS, prompt: 'a', response: 'b' })).toBeNull();
  const pairs = { ...NO_COLUMNS, prompt: 'a', chosen: 'b' };
  expect(choiceProblem(dpo, pairs)).toContain('“Rejected answer”');
  expect(choiceProblem(dpo, { ...pairs, rejected: 'b' })).toContain('“b” is chosen twice');
  expect(choiceProblem(dpo, { ...pairs, rejected: 'c' })).toBeNull();
});
