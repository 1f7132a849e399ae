import { describe, expect, it } from 'vitest';
import { parseRows, rowCount, selectRows, tokeniseTraining, tokenLengths } from './task-rows.ts';
import { tinyTokenizerJson } from './tiny-tokenizer.ts';
import { tokenizeRow } from './tokenise.ts';
import { tokenizePair } from './tokenise-preference.ts';
import { loadTokenizer } from './tokenizer.ts';

const tokenizer = loadTokenizer(tinyTokenizerJson());
const config = { template: 'plain', maxSeqLength: 24, dpo: {} } as const;
const bytes = (rows: readonly object[]) => new TextEncoder().encode(rows.map((row) => JSON.stringify(row)).join('\n'));
const named = { fileName: 'own.jsonl' };

const asked = ['a', 'b', 'c', 'd'].map((prompt, i) => ({ prompt, response: i === 2 ? 'no' : 'yes' }));
const preferred = ['a', 'b', 'c'].map((prompt) => ({ prompt, chosen: 'gladly', rejected: 'no' }));

describe('reading rows of a task', () => {
  it('says what was read, with the balance of few answers', async () => {
    const parsed = await parseRows('sft', bytes([...asked, asked[0] ?? {}, { prompt: 'only' }]), named);
    expect(parsed).toMatchObject({ task: 'sft', format: 'prompt and response', duplicateRows: 1, emptyRows: 0 });
    expect(parsed.rejected.map(({ line }) => line)).toEqual([6]);
    expect(parsed.answerCounts).toEqual([
      { answer: 'yes', count: 3 },
      { answer: 'no', count: 1 },
    ]);
  });

  it('reads preference pairs, which have no balance', async () => {
    const parsed = await parseRows('dpo', bytes([...preferred, preferred[1] ?? {}]), named);
    expect(parsed).toMatchObject({ task: 'dpo', format: 'prompt, chosen and rejected', duplicateRows: 1 });
    expect(parsed.rows).toHaveLength(3);
    expect(parsed.answerCounts).toBeNull();
  });

  it('has no format where the columns were chosen, or no row is of the task', async () => {
    const mapping = { prompt: 'q', response: 'a' };
    const chosen = await parseRows('sft', bytes([{ q: 'Why?', a: 'So.' }]), { ...named, mapping });
    expect(chosen).toMatchObject({ format: null, rows: [{ prompt: 'Why?', response: 'So.' }] });
    expect(await parseRows('dpo', bytes(asked), named)).toMatchObject({ format: null, rows: [] });
  });
});

describe('rows as a model takes them', () => {
  it('are those that fit, with the rows they came from', async () => {
    const parsed = await parseRows('sft', bytes([{ prompt: 'x'.repeat(40), response: 'y' }, ...asked]), named);
    const { data, kept, rejected, truncatedRows } = tokeniseTraining(parsed, config, tokenizer);
    expect(kept.rows.map(({ line }) => line)).toEqual([2, 3, 4, 5]);
    expect(rejected.map(({ line }) => line)).toEqual([1]);
    expect([rowCount(data), truncatedRows]).toEqual([4, 0]);
    expect(data).toEqual({ task: 'sft', examples: asked.map((row) => tokenizeRow(row, { ...config, tokenizer })) });
    const sizes = data.task === 'sft' ? data.examples.map(({ inputIds }) => inputIds.length) : [];
    expect(tokenLengths(data)).toEqual({ lengths: sizes, total: sizes.reduce((sum, n) => sum + n, 0) });
  });

  it('cut the prompts of pairs as the run says', async () => {
    const long = { prompt: 'x'.repeat(40), chosen: 'g'.repeat(30), rejected: 'no' };
    const parsed = await parseRows('dpo', bytes([long, ...preferred]), named);
    const { data, truncatedRows } = tokeniseTraining(parsed, { ...config, dpo: { maxPromptLength: 5 } }, tokenizer);
    const options = { ...config, tokenizer, maxPromptLength: 5 };
    const pair = tokenizePair({ turns: [long.prompt], chosen: long.chosen, rejected: 'no' }, options);
    if (data.task !== 'dpo' || 'reason' in pair) throw new Error('these are pairs');
    expect(data.pairs[0]).toEqual({ chosen: pair.chosen, rejected: pair.rejected });
    expect([rowCount(data), truncatedRows]).toEqual([4, 1]);
    const sizes = data.pairs.map(({ chosen, rejected }) => [chosen.inputIds.length, rejected.inputIds.length]);
    expect(tokenLengths(data)).toEqual({
      lengths: sizes.map((own) => Math.max(...own)),
      total: sizes.flat().reduce((sum, n) => sum + n, 0),
    });
  });

  it('can be picked by their place', async () => {
    const parsed = await parseRows('sft', bytes(asked), named);
    expect(selectRows(parsed, [2, 0])).toEqual({ task: 'sft', rows: [parsed.rows[2], parsed.rows[0]] });
    expect(() => selectRows(parsed, [4])).toThrow(new RangeError('row 4 of 4'));
    expect(selectRows(await parseRows('dpo', bytes(preferred), named), [1])).toMatchObject({ rows: [{ line: 2 }] });
  });
});
