import { describe, expect, it } from 'vitest';
import { parseDataset } from './parse-dataset.ts';
import { parsePreferences } from './parse-preferences.ts';
import { PRESETS, presetById, presetFileUrl, presetRows } from './presets.ts';

const jsonl = (rows: readonly object[]): Uint8Array =>
  new TextEncoder().encode(rows.map((row) => JSON.stringify(row)).join('\n'));

async function readAs(id: string, rows: readonly object[]): Promise<[prompt: string, response: string][]> {
  const read = await parseDataset(jsonl(rows), { fileName: `${id}.jsonl`, ...presetById(id)?.parse });
  expect(read.rejected).toEqual([]);
  return read.rows.map(({ prompt, response }) => [prompt, response]);
}

const FULL = { instruction: 'Name it.', input: 'A cat', output: 'Tom', text: 'Below is an instruction…' };
const BARE = { instruction: 'Sing.', input: '', output: 'La', text: 'Below is an instruction…' };

/** Rows with the columns that each set has, and the prompt and response that the published code makes of them. */
const COLUMNS: Readonly<
  Record<string, readonly [rows: readonly object[], read: readonly (readonly [string, string])[]]>
> = {
  alpaca: [
    [FULL, BARE],
    [
      ['Name it. A cat', 'Tom'],
      ['Sing.', 'La'],
    ],
  ],
  'alpaca-gpt4': [
    [FULL, BARE, BARE],
    [
      ['Name it. A cat', 'Tom'],
      ['Sing.', 'La'],
      ['Sing.', 'La'],
    ],
  ],
  'alpaca-cleaned': [
    [FULL, BARE],
    [
      ['Name it. A cat', 'Tom'],
      ['Sing.', 'La'],
    ],
  ],
  'code-alpaca': [
    [FULL, BARE],
    [
      ['Name it. A cat', 'Tom'],
      ['Sing.', 'La'],
    ],
  ],
  'finance-alpaca': [
    [FULL, BARE],
    [
      ['Name it. A cat', 'Tom'],
      ['Sing.', 'La'],
    ],
  ],
  'fingpt-sentiment': [
    [{ input: 'Sales rose.', output: 'positive', instruction: 'What is the sentiment of this news?' }],
    [['What is the sentiment of this news? Sales rose.', 'positive']],
  ],
  wizardlm: [[{ instruction: 'Explain.', output: 'So.' }], [['Explain.', 'So.']]],
  'medalpaca-flashcards': [
    [{ instruction: 'Answer this question truthfully', input: 'What is a rash?', output: 'Red skin.' }],
    [['What is a rash?', 'Red skin.']],
  ],
  'math-instruct': [
    [
      { source: 'data/CoT/a.json', instruction: 'Add 1 and 2.', output: '3' },
      { source: 'data/PoT/b.json', instruction: 'Add 1 and 2.', output: 'print(1 + 2)' },
      { source: 'data/PoT/b.json', instruction: 'Add 2 and 2.', output: '4' },
    ],
    [
      ['Add 1 and 2.', '3'],
      ['Add 2 and 2.', '4'],
    ],
  ],
  math: [[{ problem: 'x + 1 = 2', level: 'Level 1', type: 'Algebra', solution: '1' }], [['x + 1 = 2', '1']]],
  gsm8k: [[{ question: 'How many?', answer: 'Two.\n#### 2' }], [['How many?', 'Two.\n#### 2']]],
};

describe('presets', () => {
  it('have different ids, and addresses on the hub or a mirror', () => {
    expect(new Set(PRESETS.map(({ id }) => id)).size).toBe(PRESETS.length);
    for (const { id, files } of PRESETS) {
      expect(files.length, id).toBeGreaterThan(0);
      for (const file of files) expect(new URL(presetFileUrl(file)).origin).toBe('https://huggingface.co');
    }
    expect(presetFileUrl({ repository: 'owner/set', path: 'data/a.json' }, 'https://mirror.example/')).toBe(
      'https://mirror.example/datasets/owner/set/resolve/main/data/a.json',
    );
  });

  it('cover the columns of every set for fine-tuning below', () => {
    expect(Object.keys(COLUMNS).sort()).toEqual(
      PRESETS.filter(({ task }) => task === 'sft')
        .map(({ id }) => id)
        .sort(),
    );
  });

  it.each(Object.entries(COLUMNS))('%s: reads its columns as the published code does', async (id, [rows, expected]) => {
    expect(await readAs(id, rows)).toEqual(expected);
  });

  it('read preference pairs as dialogues', async () => {
    const chat = (answer: string) => [
      { role: 'user', content: 'Why?' },
      { role: 'assistant', content: answer },
    ];
    const feedback = {
      prompt: 'Why?',
      prompt_id: '1',
      chosen: chat('Because.'),
      rejected: chat('No.'),
      messages: chat('Because.'),
    };
    const transcript = (answer: string) => `\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: Why?\n\nAssistant: ${answer}`;
    const hh = { chosen: transcript('I would not.'), rejected: transcript('I think so.') };
    for (const [id, row, expected] of [
      ['ultrafeedback', feedback, { turns: ['Why?'], chosen: 'Because.', rejected: 'No.' }],
      ['hh-rlhf', hh, { turns: ['Hi', 'Hello.', 'Why?'], chosen: 'I would not.', rejected: 'I think so.' }],
    ] as const) {
      const { rows } = await parsePreferences(jsonl([row, row]), { fileName: 'a.jsonl', ...presetById(id)?.parse });
      expect(rows, id).toHaveLength(2); // published runs keep duplicates
      expect(rows[0]).toMatchObject(expected);
    }
  });
});

describe('presetRows', () => {
  const rows = Array.from({ length: 500 }, (_, i) => i);
  const preset = { id: 'any', splitSeed: 2023, sample: 200 };

  it('takes a sample that the seed and the set decide, from all over the file', () => {
    const taken = presetRows(preset, rows);
    expect(taken).toHaveLength(200);
    expect(new Set(taken).size).toBe(200);
    expect(presetRows(preset, rows)).toEqual(taken);
    expect(presetRows({ ...preset, splitSeed: 1 }, rows)).not.toEqual(taken);
    expect(presetRows({ ...preset, id: 'other' }, rows)).not.toEqual(taken);
    expect(taken.filter((row) => row >= 250).length).toBeGreaterThan(60);
    expect(presetRows(preset, rows, 300).slice(0, 200)).toEqual(taken);
  });

  it('takes every row of a smaller set', () => {
    expect(presetRows(preset, [1, 2, 3]).sort()).toEqual([1, 2, 3]);
  });
});
