import { existsSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ChatTemplate, loadChatTemplate, openTemplate } from './chat-template.ts';
import { dialogueTokens, promptTokens } from './dialogue-tokens.ts';
import { DataError } from './error.ts';
import { tinyTokenizerJson } from './tiny-tokenizer.ts';
import { NO_LABEL, tokenizeRow } from './tokenise.ts';
import { tokenizePair } from './tokenise-preference.ts';
import { loadTokenizer, type Tokenizer } from './tokenizer.ts';

/** The tiny tokenizer with the special tokens of a chat model. */
function chatTokenizer(): Tokenizer {
  const json = JSON.parse(tinyTokenizerJson()) as {
    added_tokens: { id: number; content: string }[];
    model: { vocab: Record<string, number> };
  };
  const [first] = json.added_tokens;
  for (const content of ['<|turn|>', '<|end|>']) {
    const id = Object.keys(json.model.vocab).length;
    json.model.vocab[content] = id;
    json.added_tokens.push({ ...first, id, content });
  }
  return loadTokenizer(JSON.stringify(json));
}

const TURNS =
  "{{ bos_token }}{% for message in messages %}<|turn|>{{ message['role'] }}\n{{ message['content'] | trim }}<|end|>\n" +
  '{% endfor %}{% if add_generation_prompt %}<|turn|>assistant\n{% endif %}';
const BRACKETS =
  "{% for message in messages %}{% if message['role'] == 'user' %}{{ bos_token + '[Q] ' + message['content'] + ' [/Q]' }}" +
  "{% else %}{{ ' ' + message['content'] + ' ' + eos_token }}{% endif %}{% endfor %}";
const BARE = "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\n' }}{% endfor %}";
const ONE_TURN = `{% if messages | length > 2 %}{{ raise_exception('one question only') }}{% endif %}${BARE}`;

const tokenizer = chatTokenizer();
const learnt = (ids: readonly number[], spans: readonly { from: number; to: number }[], from: Tokenizer): string[] =>
  spans.map((span) => from.decode(ids.slice(span.from, span.to)));
// Sentencepiece writes a space after a special token that the text does not have.
const withoutAddedSpace = (text: string): string => text.replace(/ \n$/, '\n');
const learntText = (turns: string[], template: ChatTemplate, from: Tokenizer): string[] => {
  const tokens = dialogueTokens(turns, template, from);
  if ('reason' in tokens) throw new Error(tokens.reason);
  return learnt(tokens.ids, tokens.answers, from).map(withoutAddedSpace);
};

describe('a chat template', () => {
  it('gives BOS once, whether it writes it or not, and learns every answer to the end of its turn', async () => {
    const turns = await loadChatTemplate(TURNS, tokenizer);
    const tokens = dialogueTokens(['the', 'ne', 'q', 'er'], turns, tokenizer);
    if ('reason' in tokens) throw new Error(tokens.reason);
    const text =
      '<|turn|>user\nthe<|end|>\n<|turn|>assistant\nne<|end|>\n<|turn|>user\nq<|end|>\n<|turn|>assistant\ner<|end|>\n';
    expect(tokens.ids).toEqual([1, ...tokenizer.encode(text, { bos: false, special: true })]);
    expect(tokens.ids.filter((id) => id === tokenizer.bosId)).toHaveLength(1);
    expect(tokens.ids).not.toContain(tokenizer.eosId); // the template ends a turn by itself
    for (const [i, { from, to }] of tokens.answers.entries()) {
      const answer = `${['ne', 'er'][i]}<|end|>\n`;
      const before = text.slice(0, text.indexOf(answer));
      expect(tokens.ids.slice(0, from)).toEqual([1, ...tokenizer.encode(before, { bos: false, special: true })]);
      expect(tokens.ids.slice(from, to)).toEqual(
        tokenizer.encode(before + answer, { bos: false, special: true }).slice(from - 1),
      );
    }
    const without = await loadChatTemplate(TURNS.replace('{{ bos_token }}', ''), tokenizer);
    expect(dialogueTokens(['the', 'ne', 'q', 'er'], without, tokenizer)).toEqual(tokens);
  });

  it('takes the eos that the template writes, and adds one where it writes no special token', async () => {
    const brackets = await loadChatTemplate(BRACKETS, tokenizer);
    const tokens = dialogueTokens(['q', 'a', 'q', 'b'], brackets, tokenizer);
    if ('reason' in tokens) throw new Error(tokens.reason);
    expect(tokens.ids.filter((id) => id === 2)).toHaveLength(2);
    expect(tokens.ids.filter((id) => id === 1)).toHaveLength(2); // one for each question, as it is written
    expect(learnt(tokens.ids, tokens.answers, tokenizer).map((text) => text.trim())).toEqual(['a', 'b']);
    const bare = dialogueTokens(['q', 'a'], await loadChatTemplate(BARE, tokenizer), tokenizer);
    if ('reason' in bare) throw new Error(bare.reason);
    expect(bare.ids.at(-1)).toBe(2);
    expect(bare.ids.filter((id) => id === 2)).toHaveLength(1);
    expect(learnt(bare.ids, bare.answers, tokenizer)).toEqual(['assistant: a\n']); // the model is to write the heading too
  });

  it('gives the model a prompt that its training sequences begin with', async () => {
    for (const source of [TURNS, BRACKETS, BARE]) {
      const template = await loadChatTemplate(source, tokenizer);
      for (const turns of [['q'], ['q', 'a', 'r']]) {
        const prompt = promptTokens(turns, template, tokenizer);
        const tokens = dialogueTokens([...turns, 'answer'], template, tokenizer);
        if ('reason' in prompt || 'reason' in tokens) throw new Error('was not rendered');
        expect(tokens.ids.slice(0, prompt.length)).toEqual(prompt);
        expect(tokens.answers.at(-1)?.from).toBe(prompt.length);
      }
    }
    for (const turns of [['q'], ['q', 'a', 'r']]) {
      const prompt = promptTokens(turns, 'vicuna', tokenizer) as number[];
      const tokens = dialogueTokens([...turns, 'answer'], 'vicuna', tokenizer);
      expect('ids' in tokens && tokens.ids.slice(0, prompt.length)).toEqual(prompt);
    }
  });

  it('rejects rows that it does not take or that spell its tokens, without quoting them', async () => {
    const one = await loadChatTemplate(ONE_TURN, tokenizer);
    expect(dialogueTokens(['q', 'a'], one, tokenizer)).toHaveProperty('ids');
    const options = { template: one, tokenizer, maxSeqLength: 100 };
    const history = [{ prompt: 'q', response: 'a' }];
    expect(tokenizeRow({ history, prompt: 'secret', response: 'b' }, options)).toEqual({
      reason: "has 4 turns, which the model's chat template does not take",
    });
    const turns = await loadChatTemplate(TURNS, tokenizer);
    for (const text of ['a<|end|>b', '</s>']) {
      expect(tokenizeRow({ prompt: text, response: 'b' }, { ...options, template: turns })).toEqual({
        reason: expect.stringMatching(/^spells a special token/),
      });
    }
  });

  it('is refused when it is no template', async () => {
    await expect(loadChatTemplate('{% for x in %}', tokenizer)).rejects.toThrow(DataError);
    await expect(openTemplate('chat', null, tokenizer)).rejects.toThrow(/no chat template/);
    expect(await openTemplate('alpaca', null, tokenizer)).toBe('alpaca');
    expect(await openTemplate('chat', TURNS, tokenizer)).toHaveProperty('render');
  });

  it('learns each answer of any dialogue and no question, in rows and in pairs', async () => {
    const template = await loadChatTemplate(TURNS, tokenizer);
    const text = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
      .map((raw) => raw.replaceAll('▁', '_').trim())
      .filter((value) => value !== '' && !/<\|?(turn|end|s|unk|\/s)/.test(value));
    const dialogue = fc.array(fc.tuple(text, text), { minLength: 1, maxLength: 4 }).map((pairs) => pairs.flat());
    fc.assert(
      fc.property(dialogue, text, (turns, other) => {
        const answers = turns.filter((_, i) => i % 2 === 1);
        expect(learntText(turns, template, tokenizer)).toEqual(answers.map((answer) => `${answer}\n`));
        const chosen = turns.at(-1) ?? '';
        fc.pre(chosen !== other);
        const asked = turns.slice(0, -1);
        const pair = tokenizePair(
          { turns: asked, chosen, rejected: other },
          { template, tokenizer, maxSeqLength: 2048 },
        );
        if ('reason' in pair) throw new Error(pair.reason);
        for (const [{ labels }, answer] of [
          [pair.chosen, chosen],
          [pair.rejected, other],
        ] as const) {
          expect(withoutAddedSpace(tokenizer.decode(labels.filter((label) => label !== NO_LABEL)))).toBe(`${answer}\n`);
        }
      }),
    );
  });

  // Set to a tokenizer.json to see the same with a real vocabulary.
  const real = process.env.COTUNE_TEST_TOKENIZER;
  it.runIf(real !== undefined && existsSync(real))('does the same with a real tokenizer', async () => {
    const whole = loadTokenizer(readFileSync(real ?? '', 'utf8'));
    const template = await loadChatTemplate(BRACKETS, whole);
    const turns = ['What is a quay?', 'A landing place.', 'And\na  pier? ', '  That too, 你好 🙂.'];
    expect(learntText(turns, template, whole).map((text) => text.trim())).toEqual([turns[1], turns[3]?.trim()]);
    for (const id of ['plain', 'alpaca', 'vicuna'] as const) {
      const tokens = dialogueTokens(turns, id, whole);
      if ('reason' in tokens) throw new Error(tokens.reason);
      const said = learnt(tokens.ids, tokens.answers, whole).map((text) => text.trim());
      expect(said).toEqual([turns[1], turns[3]?.trim()]);
      expect(tokens.ids.filter((token) => token === whole.eosId)).toHaveLength(2);
    }
  });
});
