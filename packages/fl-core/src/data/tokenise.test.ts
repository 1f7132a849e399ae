import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DataError } from './error.ts';
import { TEMPLATE_IDS, TEMPLATES } from './templates.ts';
import { tinyTokenizerJson } from './tiny-tokenizer.ts';
import { NO_LABEL, tokenizeRow, tokenizeRows } from './tokenise.ts';
import { loadTokenizer } from './tokenizer.ts';

const json = tinyTokenizerJson();
const tokenizer = loadTokenizer(json);
const ids = (...pieces: string[]): number[] => {
  const vocab = (JSON.parse(json) as { model: { vocab: Record<string, number> } }).model.vocab;
  return pieces.map((piece) => vocab[piece] ?? -1);
};

describe('loadTokenizer', () => {
  it('finds the special tokens, by name or from the model', () => {
    expect([tokenizer.bosId, tokenizer.eosId]).toEqual([1, 2]);
    const told = loadTokenizer(json, { bosTokenId: 5, eosTokenIds: [7, 2] });
    expect([told.bosId, told.eosId]).toEqual([5, 7]);
  });

  it('encodes with merges, byte fallback and an optional BOS', () => {
    expect(tokenizer.encode('ne  the', { bos: true })).toEqual([1, ...ids('▁ne', '▁▁', 'th', 'e')]);
    expect(tokenizer.encode('é', { bos: false })).toEqual(ids('▁', '<0xC3>', '<0xA9>'));
    expect(tokenizer.encode('', { bos: true })).toEqual([1]);
    expect(tokenizer.encode('', { bos: false })).toEqual([]);
  });

  it("reads special tokens spelled in somebody's data as ordinary text, unless asked", () => {
    expect(tokenizer.encode('a</s>', { bos: false })).toEqual(ids('▁', 'a', '<', '/', 's', '>'));
    expect(tokenizer.encode('a</s>', { bos: false, special: true })).toContain(2);
  });

  it('gives every text back, but for the sign that stands for a space in the vocabulary', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (raw) => {
        const text = raw.replaceAll('▁', '');
        expect(tokenizer.decode(tokenizer.encode(text, { bos: true }))).toBe(text);
      }),
    );
    expect(tokenizer.decode([1, 2])).toBe('');
  });

  it('encodes words one by one exactly as it does the whole text', () => {
    // A vocabulary with `▁` inside a piece that no merge makes is not split into words.
    const whole = JSON.parse(json) as { model: { vocab: Record<string, number> } };
    whole.model.vocab['e▁n'] = Object.keys(whole.model.vocab).length;
    const unsplit = loadTokenizer(JSON.stringify(whole));
    const piece = fc.constantFrom(' ', 'n', 'e', 't', 'h', 'r', '▁', 'é', ':', '\n');
    fc.assert(
      fc.property(
        fc.array(piece).map((pieces) => pieces.join('')),
        (text) => {
          expect(tokenizer.encode(text, { bos: false })).toEqual(unsplit.encode(text, { bos: false }));
        },
      ),
      { numRuns: 300 },
    );
  });

  it('still finds pieces that reach across words, where a vocabulary has them', () => {
    const across = JSON.parse(json) as { model: { vocab: Record<string, number>; merges: [string, string][] } };
    const id = Object.keys(across.model.vocab).length;
    across.model.vocab['e▁n'] = id;
    across.model.merges.push(['e', '▁n']);
    expect(loadTokenizer(JSON.stringify(across)).encode('e n', { bos: false })).toEqual([...ids('▁'), id]);
  });

  it('refuses what is no tokenizer, and a model whose special tokens it lacks', () => {
    expect(() => loadTokenizer('{}')).toThrow(DataError);
    expect(() => loadTokenizer('nonsense')).toThrow(DataError);
    expect(() => loadTokenizer(json, { bosTokenId: 128000, eosTokenIds: [128001] })).toThrow(
      /128000.*belongs to the model/,
    );
  });
});

describe('templates', () => {
  it('are OpenFedLLM’s, character for character', () => {
    const { alpaca, vicuna, plain } = TEMPLATES;
    expect(alpaca.prompt('Q') + alpaca.completion('A')).toBe(
      'Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\nQ \n\n### Response: A',
    );
    expect(vicuna.prompt('Q') + vicuna.completion('A')).toBe(
      "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the user's questions. USER: Q ASSISTANT: A",
    );
    expect(plain.prompt('Q') + plain.completion('A')).toBe('Q A');
  });
});

describe('tokenizeRow', () => {
  const options = { template: 'plain', tokenizer, maxSeqLength: 64 } as const;

  it('labels the response and EOS, not the prompt', () => {
    expect(tokenizeRow({ prompt: 'the :', response: 'ne' }, options)).toEqual({
      inputIds: [1, ...ids('▁th', 'e', '▁', ':', '▁ne'), 2],
      labels: [NO_LABEL, NO_LABEL, NO_LABEL, NO_LABEL, NO_LABEL, ...ids('▁ne'), 2],
    });
  });

  it('labels a token that the end of the prompt and the response share', () => {
    // A prompt that ends in a space: alone it ends in ▁, before the response the two spaces are one piece.
    const row = tokenizeRow({ prompt: 'a ', response: 'b' }, options);
    expect(row).toEqual({
      inputIds: [1, ...ids('▁', 'a', '▁▁', 'b'), 2],
      labels: [NO_LABEL, NO_LABEL, NO_LABEL, ...ids('▁▁', 'b'), 2],
    });
  });

  it('learns text without a prompt as it is, whatever the template', () => {
    for (const template of TEMPLATE_IDS) {
      const row = tokenizeRow({ prompt: '', response: 'b' }, { ...options, template });
      expect(row).toEqual({ inputIds: [1, ...ids('▁', 'b'), 2], labels: [NO_LABEL, ...ids('▁', 'b'), 2] });
    }
  });

  it('learns every answer of a conversation, each up to its EOS', () => {
    const row = { history: [{ prompt: 'the', response: 'ne' }], prompt: ':', response: 'er' };
    expect(tokenizeRow(row, { ...options, template: 'plain' })).toEqual({
      inputIds: [1, ...ids('▁th', 'e', '▁ne'), 2, ...ids('▁', '<0x0A>', '<0x0A>', ':', '▁', 'er'), 2],
      labels: [
        ...[NO_LABEL, NO_LABEL, NO_LABEL, ...ids('▁ne'), 2],
        ...[NO_LABEL, NO_LABEL, NO_LABEL, NO_LABEL, ...ids('▁', 'er'), 2],
      ],
    });
    const cut = tokenizeRows([{ ...row, line: 1 }], { ...options, maxSeqLength: 5 });
    expect(cut.examples[0]?.inputIds).toEqual([1, ...ids('▁th', 'e', '▁ne'), 2]);
    expect(cut.truncatedRows).toBe(1); // though its last token is an EOS
  });

  it('gives back each answer of any conversation, and nothing of its questions', () => {
    const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }).map((raw) => raw.replaceAll('▁', '_'));
    const pair = fc.record({ prompt: text, response: text });
    fc.assert(
      fc.property(
        fc.array(pair, { maxLength: 3 }),
        pair,
        fc.constantFrom(...TEMPLATE_IDS),
        (history, last, template) => {
          const row = tokenizeRow({ history, ...last }, { template, tokenizer, maxSeqLength: 4096 });
          if ('reason' in row) throw new Error(row.reason);
          const { inputIds, labels } = row;
          const starts = labels.flatMap((label, t) => (label !== NO_LABEL && labels[t - 1] === NO_LABEL ? [t] : []));
          const runs = starts.map((from) => inputIds.slice(from, labels.indexOf(2, from) + 1));
          expect(labels.filter((label) => label !== NO_LABEL)).toEqual(runs.flat());
          const ends = [...history, last].map(({ response }) => TEMPLATES[template].completion(response));
          expect(runs).toHaveLength(ends.length);
          // A run may begin with the end of its question, where they share a token.
          for (const [i, run] of runs.entries()) {
            expect(tokenizer.decode(run.slice(0, -1)).endsWith(ends[i]?.slice(1) ?? '')).toBe(true);
            expect(run.at(-1)).toBe(2);
          }
          expect(inputIds.filter((id) => id === 2)).toHaveLength(ends.length);
        },
      ),
    );
  });

  it('cuts at the limit, and rejects a row when no label is left', () => {
    const row = { prompt: 'abc', response: 'xyz' }; // BOS ▁ a b c | ▁ x y z EOS
    const cut = (maxSeqLength: number) => tokenizeRow(row, { ...options, maxSeqLength });
    expect(cut(10)).toMatchObject({ labels: [...new Array(5).fill(NO_LABEL), ...ids('▁', 'x', 'y', 'z'), 2] });
    expect(cut(6)).toEqual({
      inputIds: [1, ...ids('▁', 'a', 'b', 'c', '▁')],
      labels: [...new Array(5).fill(NO_LABEL), ...ids('▁')],
    });
    expect(cut(5)).toEqual({ reason: expect.stringContaining('5 tokens') });
    const rows = [
      { ...row, line: 4 },
      { prompt: 'a', response: 'b', line: 9 },
    ];
    const all = tokenizeRows(rows, { ...options, maxSeqLength: 5 });
    expect(all.rejected.map(({ line }) => line)).toEqual([4]);
    expect(all.rows).toEqual([rows[1]]);
    expect(tokenizeRows(rows, { ...options, maxSeqLength: 9 }).truncatedRows).toBe(1);
    expect(tokenizeRows(rows, { ...options, maxSeqLength: 10 }).truncatedRows).toBe(0);
  });

  it('holds for any text and template: BOS first, EOS last, labels are the ids or none, and the prompt has none', () => {
    const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(text, text, fc.constantFrom(...TEMPLATE_IDS), (prompt, response, template) => {
        const row = tokenizeRow({ prompt, response }, { template, tokenizer, maxSeqLength: 4096 });
        if ('reason' in row) throw new Error(row.reason);
        const { inputIds, labels } = row;
        const first = labels.findIndex((label) => label !== NO_LABEL);
        expect(inputIds[0]).toBe(1);
        expect(inputIds.at(-1)).toBe(2);
        expect(labels.slice(first)).toEqual(inputIds.slice(first));
        expect(first).toBeGreaterThan(0);
        const promptText = TEMPLATES[template].prompt(prompt);
        // What is not learnt is the beginning of the prompt, and what is learnt holds the whole response.
        expect(promptText.startsWith(tokenizer.decode(inputIds.slice(0, first)).replace(/\ufffd+$/, ''))).toBe(true);
        expect(tokenizer.decode(inputIds)).toBe(promptText + TEMPLATES[template].completion(response));
      }),
    );
  });
});
