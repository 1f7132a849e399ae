import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dialoguePrompt, TEMPLATE_IDS } from './templates.ts';
import { tinyTokenizerJson } from './tiny-tokenizer.ts';
import { NO_LABEL, tokenizeRow } from './tokenise.ts';
import { tokenizePair, tokenizePairs } from './tokenise-preference.ts';
import { loadTokenizer } from './tokenizer.ts';

const tokenizer = loadTokenizer(tinyTokenizerJson());
const options = { template: 'plain', tokenizer, maxSeqLength: 64 } as const;
const learnt = ({ labels }: { labels: readonly number[] }) => labels.filter((label) => label !== NO_LABEL);

describe('dialoguePrompt', () => {
  it('continues a prompt with answers and questions as each template has them', () => {
    const turns = ['Q1', 'A1', 'Q2'];
    expect(dialoguePrompt('plain', turns)).toBe('Q1 A1\n\nQ2');
    expect(dialoguePrompt('vicuna', turns)).toMatch(
      / answers to the user's questions\. USER: Q1 ASSISTANT: A1 USER: Q2 ASSISTANT:$/,
    );
    expect(dialoguePrompt('alpaca', turns)).toMatch(
      /\n\n### Instruction:\nQ1 \n\n### Response: A1\n\n### Instruction:\nQ2 \n\n### Response:$/,
    );
  });
});

describe('tokenizePair', () => {
  it('gives each answer the tokens it has in supervised training, for one question', () => {
    const row = { turns: ['the :'], chosen: 'ne', rejected: 'other' };
    for (const template of TEMPLATE_IDS) {
      const long = { ...options, template, maxSeqLength: 4096 };
      const pair = tokenizePair(row, long);
      expect(pair).toEqual({
        chosen: tokenizeRow({ prompt: 'the :', response: 'ne' }, long),
        rejected: tokenizeRow({ prompt: 'the :', response: 'other' }, long),
        truncated: false,
      });
    }
  });

  it('cuts the prompt from the left as far as needed and allowed, then the answers from the right', () => {
    const row = { turns: ['abcdefgh'], chosen: 'xyz', rejected: 'w' }; // BOS ▁ a … h | ▁ x y z EOS
    const whole = tokenizePair(row, options);
    if ('reason' in whole) throw new Error(whole.reason);
    expect([whole.chosen.inputIds.length, whole.rejected.inputIds.length]).toEqual([15, 13]);
    const cut = (maxSeqLength: number, maxPromptLength?: number) => {
      const pair = tokenizePair(row, { ...options, maxSeqLength, maxPromptLength });
      if ('reason' in pair) throw new Error(pair.reason);
      return pair;
    };
    const { chosen, rejected, truncated } = cut(12, 4);
    expect(truncated).toBe(true);
    expect(chosen.inputIds).toEqual([1, ...whole.chosen.inputIds.slice(4)]);
    expect(rejected.inputIds).toEqual([1, ...whole.rejected.inputIds.slice(4)]);
    expect(learnt(chosen)).toEqual(learnt(whole.chosen));
    const shorter = cut(6, 4); // BOS f g h | ▁ x
    expect(shorter.chosen.inputIds).toEqual([1, ...whole.chosen.inputIds.slice(7, 12)]);
    expect(learnt(shorter.chosen)).toEqual(learnt(whole.chosen).slice(0, 2));
    expect(cut(8).chosen.inputIds).toEqual(cut(8, 4).chosen.inputIds); // half by default
  });

  it('rejects a pair without room for an answer, or whose answers differ only in what is cut', () => {
    const row = { turns: ['abc'], chosen: 'xyzz', rejected: 'xyzne' };
    expect(tokenizePair(row, { ...options, maxSeqLength: 4, maxPromptLength: 4 })).toEqual({
      reason: expect.stringContaining('prompt of 4 tokens'),
    });
    expect(tokenizePair(row, { ...options, maxSeqLength: 7, maxPromptLength: 3 })).toEqual({
      reason: expect.stringContaining('the same within 7'),
    });
    const rows = [
      { ...row, line: 3 },
      { turns: ['a'], chosen: 'b', rejected: 'c', line: 5 },
    ];
    const all = tokenizePairs(rows, { ...options, maxSeqLength: 7, maxPromptLength: 3 });
    expect(all.rejected.map(({ line }) => line)).toEqual([3]);
    expect(all.rows).toEqual([rows[1]]);
    expect([all.pairs.length, all.truncatedRows]).toEqual([1, 0]);
  });

  it('holds for any dialogue: one prompt in both, at most the length asked for, labels the ids or none', () => {
    const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 });
    const turns = fc.array(text, { minLength: 1, maxLength: 5 }).filter(({ length }) => length % 2 === 1);
    const lengths = fc.record({
      maxSeqLength: fc.integer({ min: 2, max: 200 }),
      maxPromptLength: fc.integer({ min: 1, max: 100 }),
    });
    fc.assert(
      fc.property(
        turns,
        text,
        text,
        fc.constantFrom(...TEMPLATE_IDS),
        lengths,
        (said, chosen, rejected, template, limits) => {
          const pair = tokenizePair({ turns: said, chosen, rejected }, { template, tokenizer, ...limits });
          if ('reason' in pair) return;
          const first = pair.chosen.labels.findIndex((label) => label !== NO_LABEL);
          expect(first).toBeGreaterThan(0);
          expect(pair.rejected.labels.findIndex((label) => label !== NO_LABEL)).toBe(first);
          expect(pair.rejected.inputIds.slice(0, first)).toEqual(pair.chosen.inputIds.slice(0, first));
          for (const { inputIds, labels } of [pair.chosen, pair.rejected]) {
            expect(inputIds.length).toBeLessThanOrEqual(limits.maxSeqLength);
            expect(inputIds[0]).toBe(1);
            expect(labels.slice(first)).toEqual(inputIds.slice(first));
          }
          if (!pair.truncated) expect(pair.chosen.inputIds.at(-1)).toBe(2);
        },
      ),
    );
  });
});
