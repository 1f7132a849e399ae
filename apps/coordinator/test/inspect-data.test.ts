import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { dataReportText, inspectData } from '../src/cli/inspect-data.ts';

const demoModel = join(import.meta.dirname, '..', 'demo', 'model');
const defaults = { template: 'alpaca', seq: 512 } as const;

async function dataFile(name: string, rows: readonly (object | string)[]): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'cotune-inspect-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const path = join(directory, name);
  await writeFile(path, rows.map((row) => (typeof row === 'string' ? row : JSON.stringify(row))).join('\n'));
  return path;
}

test('says what a file for fine-tuning holds, with the tokens of a model', async () => {
  const label = (i: number) => ({
    prompt: `The firm number ${i} rises. Sentiment:`,
    response: i % 3 ? 'positive' : 'negative',
  });
  const path = await dataFile('news.jsonl', [
    ...Array.from({ length: 9 }, (_, i) => label(i)),
    label(1),
    '{"prompt": ',
    '',
    { a: 1 },
    { a: 2 },
  ]);
  const report = await inspectData(path, { ...defaults, template: 'plain', seq: 4, model: demoModel });
  expect(report).toMatchObject({
    kind: 'data',
    task: 'sft',
    rows: 9,
    rejected: 3,
    card: { duplicateRows: 1, emptyRows: 1 },
  });
  expect(report.tokens?.lengths?.total).toBeGreaterThan(9 * 5);
  expect(report.tokens?.tooLongRows).toBe(9);
  expect(report.tokens?.histogram.reduce((sum, { count }) => sum + count, 0)).toBe(9);

  const text = dataReportText(report);
  expect(text).toMatch(/^news\.jsonl: 9 rows for supervised fine-tuning \(prompt\), /);
  expect(text).toContain('3 rejected, 1 duplicate, 1 empty');
  expect(text).toMatch(/ {2}2 × has the fields a, .* \(row 13, 14\)/);
  expect(text).toContain('66.7 % "positive" (6)');
  expect(text).toContain('over 4      9 of 9');
  expect(text).not.toContain('The firm');
});

test('takes a file of preferences for what it is, and as it is told', async () => {
  const turn = (answer: string) => [
    { role: 'user', content: 'Why?' },
    { role: 'assistant', content: answer },
  ];
  const path = await dataFile('pairs.jsonl', [
    { prompt: 'Why?', chosen: turn('Because of it.'), rejected: turn('No.') },
    { prompt: 'Why?', chosen: turn('Yes.'), rejected: turn('Not at all, since nothing of the kind was ever said.') },
  ]);
  const report = await inspectData(path, { ...defaults, model: demoModel });
  expect(report).toMatchObject({ task: 'dpo', rows: 2, card: { longerChosenRows: 1 } });
  expect(report.tokens?.lengths?.max).toBeGreaterThan(report.tokens?.lengths?.min ?? 0);
  expect(dataReportText(report)).toMatch(
    /^pairs\.jsonl: 2 preference pairs \(lists\)[\s\S]*50\.0 % of the chosen answers/,
  );
  expect(await inspectData(path, { ...defaults, task: 'sft' })).toMatchObject({ task: 'sft', rows: 0, rejected: 2 });
});

test('without a usable row, says why', async () => {
  const path = await dataFile('odd.jsonl', [{ a: 1 }, { a: 2 }]);
  const report = await inspectData(path, defaults);
  expect(report).toMatchObject({ task: 'sft', rows: 0, rejected: 2, format: null });
  expect(dataReportText(report)).toContain('2 × has the fields a');
});
