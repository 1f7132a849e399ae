import type { ChatTemplate } from './chat-template.ts';
import { dialoguePrompt, TEMPLATES, type TemplateId } from './templates.ts';
import type { Tokenizer } from './tokenizer.ts';

/** Token ids of a dialogue, and where its answers stand in them: [from, to) each, end-of-sequence or end-of-turn included. */
export interface DialogueTokens {
  readonly ids: readonly number[];
  readonly answers: readonly { readonly from: number; readonly to: number }[];
}

type Reason = { readonly reason: string };

/**
 * A dialogue of questions and answers in turn, ending in an answer, as the model is trained on it. Every sequence begins
 * with BOS, once. Where an answer begins and ends is found by tokenising the text up to there and comparing ids, so that it
 * does not depend on any tokenizer's way of splitting a heading; a token that question and answer share is the answer's.
 */
export function dialogueTokens(
  turns: readonly string[],
  template: TemplateId | ChatTemplate,
  tokenizer: Tokenizer,
): DialogueTokens | Reason {
  return typeof template === 'string'
    ? templatedTokens(turns, template, tokenizer)
    : chatTokens(turns, template, tokenizer);
}

/** What the model is given so that it answers the last of `turns`: questions and answers in turn, ending in a question. */
export function promptTokens(
  turns: readonly string[],
  template: TemplateId | ChatTemplate,
  tokenizer: Tokenizer,
): readonly number[] | Reason {
  if (typeof template !== 'string') {
    const rendered = template.render(turns, { answerBegins: true });
    return 'reason' in rendered ? rendered : encodeRendered(rendered.text, tokenizer);
  }
  const earlier = templatedTokens(turns.slice(0, -1), template, tokenizer);
  const text = segmentPrompt(turns, turns.length - 1, template);
  return [...earlier.ids, ...tokenizer.encode(text, { bos: earlier.ids.length === 0 })];
}

/** Each answer is followed by EOS, after which the text goes on with the next question. */
function templatedTokens(turns: readonly string[], template: TemplateId, tokenizer: Tokenizer): DialogueTokens {
  const ids: number[] = [];
  const answers: { from: number; to: number }[] = [];
  for (let i = 0; i + 1 < turns.length; i += 2) {
    const bos = i === 0;
    const promptText = segmentPrompt(turns, i, template);
    const prompt = tokenizer.encode(promptText, { bos });
    const all = tokenizer.encode(promptText + TEMPLATES[template].completion(turns[i + 1] ?? ''), { bos });
    const from = Math.max(bos ? 1 : 0, commonPrefix(prompt, all));
    answers.push({ from: ids.length + from, to: ids.length + all.length + 1 });
    for (const id of all) ids.push(id);
    ids.push(tokenizer.eosId);
  }
  return { ids, answers };
}

/** What stands between the answer before question `i` and the answer to it. */
function segmentPrompt(turns: readonly string[], i: number, template: TemplateId): string {
  const text = dialoguePrompt(template, turns.slice(0, i + 1));
  if (i === 0) return text;
  const before = dialoguePrompt(template, turns.slice(0, i - 1)) + TEMPLATES[template].completion(turns[i - 1] ?? '');
  return text.slice(before.length);
}

/** The model's own template writes the ends of turns itself; EOS is added only where it writes no special token. */
function chatTokens(turns: readonly string[], template: ChatTemplate, tokenizer: Tokenizer): DialogueTokens | Reason {
  const full = template.render(turns, { answerBegins: false });
  if ('reason' in full) return full;
  const ids = encodeRendered(full.text, tokenizer);
  const answers: { from: number; to: number }[] = [];
  for (let i = 0; i + 1 < turns.length; i += 2) {
    const last = i + 2 >= turns.length;
    const from = prefixTokens(turns.slice(0, i + 1), [true, false]);
    const to = last ? ids.length : prefixTokens(turns.slice(0, i + 2), [false]);
    if (from !== undefined && to !== undefined) answers.push({ from: Math.max(1, from), to });
    // Some templates write earlier answers otherwise than the last (without their reasoning): those are not learnt.
    else if (last) return { reason: "is not continued as the model's chat template begins its answer" };
  }
  const specials = new Set(tokenizer.special.values());
  const end = answers.at(-1);
  if (end && !ids.slice(end.from).some((id) => specials.has(id))) {
    ids.push(tokenizer.eosId);
    answers[answers.length - 1] = { from: end.from, to: ids.length };
  }
  return { ids, answers };

  function prefixTokens(some: readonly string[], beginnings: readonly boolean[]): number | undefined {
    for (const answerBegins of beginnings) {
      const part = template.render(some, { answerBegins });
      if ('reason' in part || !('text' in full) || !full.text.startsWith(part.text)) continue;
      return commonPrefix(encodeRendered(part.text, tokenizer), ids);
    }
    return undefined;
  }
}

function encodeRendered(text: string, tokenizer: Tokenizer): number[] {
  const ids = tokenizer.encode(text, { bos: false, special: true });
  return ids[0] === tokenizer.bosId ? ids : [tokenizer.bosId, ...ids];
}

function commonPrefix(a: readonly number[], b: readonly number[]): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}
