import { questionsAndAnswers, readTurns, roleOf, type Turn } from './conversation.ts';
import { type Fields, instructionOf } from './row-formats.ts';

/** A dialogue with two answers to its last question, or why the record holds none. */
export type PreferenceText =
  | { readonly turns: readonly string[]; readonly chosen: string; readonly rejected: string }
  | { readonly reason: string };

export interface PreferenceFormat {
  readonly label: string;
  matches(fields: Fields): boolean;
  read(fields: Fields): PreferenceText;
}

const ANSWERS = ['chosen', 'rejected'] as const;
const isText = (value: unknown): value is string => typeof value === 'string';
const isTurn = (value: unknown): boolean => typeof value === 'object' && value !== null && !Array.isArray(value);
const bothAre = (fields: Fields, is: (value: unknown) => boolean): boolean =>
  ANSWERS.every((name) => is(fields.get(name)));

/** One question and two answers, a field each; Alpaca's input joins its instruction. */
const answers: PreferenceFormat = {
  label: 'prompt, chosen and rejected',
  matches: (fields) => questionOf(fields) !== undefined && bothAre(fields, isText),
  read: (fields) => ({
    turns: [String(questionOf(fields))],
    chosen: String(fields.get('chosen')),
    rejected: String(fields.get('rejected')),
  }),
};

function questionOf(fields: Fields): string | undefined {
  return [fields.get('prompt'), fields.get('question'), instructionOf(fields), fields.get('instruction')].find(isText);
}

/** What was said before the answers: a list of turns, as TRL and LLaMA-Factory have it. */
function dialogueBefore(fields: Fields): readonly unknown[] | undefined {
  return [fields.get('prompt'), fields.get('conversations'), fields.get('messages')].find(Array.isArray);
}

/** A dialogue, and two answers to it that are one turn each (LLaMA-Factory) or text. */
const continued: PreferenceFormat = {
  label: 'conversations with chosen and rejected answers',
  matches: (fields) => dialogueBefore(fields) !== undefined && (bothAre(fields, isTurn) || bothAre(fields, isText)),
  read(fields) {
    const before = dialogueBefore(fields) ?? [];
    const [chosen, rejected] = ANSWERS.map((name) => {
      const answer = fields.get(name);
      return dialogue(name, [...before, isText(answer) ? { role: 'assistant', content: answer } : answer]);
    });
    return splitDialogues(chosen ?? NONE, rejected ?? NONE);
  },
};

/** Two lists of turns as UltraFeedback has them: role and content, or from and value. */
const lists: PreferenceFormat = {
  label: 'chosen and rejected as lists of turns',
  matches: (fields) => bothAre(fields, Array.isArray),
  read(fields) {
    const question = questionOf(fields);
    const asked = dialogueBefore(fields) ?? (question === undefined ? [] : [{ role: 'user', content: question }]);
    const [chosen, rejected] = ANSWERS.map((name) => {
      const turns = fields.get(name) as readonly unknown[];
      const first = turns[0] as { role?: unknown; from?: unknown } | null | undefined;
      // A list that holds the answer alone gets its question from the record.
      const alone = turns.length === 1 && roleOf(first?.role ?? first?.from) === 'assistant';
      return dialogue(name, alone ? [...asked, ...turns] : turns);
    });
    return splitDialogues(chosen ?? NONE, rejected ?? NONE);
  },
};

/** Two whole transcripts as in HH-RLHF (Bai et al. 2022, arXiv 2204.05862): turns after "Human:" and "Assistant:". */
const transcripts: PreferenceFormat = {
  label: 'chosen and rejected as whole transcripts (HH-RLHF)',
  matches: (fields) => bothAre(fields, isText),
  read(fields) {
    const [chosen, rejected] = ANSWERS.map((name) => readTranscript(String(fields.get(name))));
    if (!chosen || !rejected) return { reason: 'is no transcript of Human: and Assistant: turns and has no prompt' };
    return splitDialogues(inTurn('chosen', chosen), inTurn('rejected', rejected));
  },
};

const TRANSCRIPT_ROLES: Readonly<Record<string, Turn['role']>> = { Human: 'user', Assistant: 'assistant' };

function readTranscript(text: string): readonly Turn[] | undefined {
  const [before = '', ...parts] = `\n\n${text.trim()}`.split(/\n\n(Human|Assistant):/);
  if (before.trim() !== '' || parts.length === 0) return undefined;
  return Array.from({ length: parts.length / 2 }, (_, i) => ({
    role: TRANSCRIPT_ROLES[parts[2 * i] ?? ''] ?? 'system',
    text: (parts[2 * i + 1] ?? '').trim(),
  }));
}

type Dialogue = readonly Turn[] | { readonly reason: string };
const NONE: Dialogue = [];

function dialogue(name: string, values: readonly unknown[]): Dialogue {
  const turns = readTurns(values);
  if ('reason' in turns) return { reason: `${name}: ${turns.reason}` };
  const merged = questionsAndAnswers(turns);
  return 'reason' in merged ? { reason: `${name}: ${merged.reason}` } : inTurn(name, merged);
}

function inTurn(name: string, turns: readonly Turn[]): Dialogue {
  const fits = turns.length % 2 === 0 && turns.every(({ role }, i) => role === (i % 2 === 0 ? 'user' : 'assistant'));
  return fits && turns.length > 0 ? turns : { reason: `${name}: is no dialogue of questions and answers in turn` };
}

/**
 * The turns before the last are the prompt, and must be the same. Cutting at whole turns keeps the words with which both
 * answers begin in the answers.
 */
function splitDialogues(chosen: Dialogue, rejected: Dialogue): PreferenceText {
  if ('reason' in chosen) return chosen;
  if ('reason' in rejected) return rejected;
  const turns = chosen.slice(0, -1).map(({ text }) => text);
  if (chosen.length !== rejected.length || turns.some((text, i) => text !== rejected[i]?.text)) {
    return { reason: 'has dialogues that differ before their last answer' };
  }
  return { turns, chosen: chosen.at(-1)?.text ?? '', rejected: rejected.at(-1)?.text ?? '' };
}

/** Every format, in the order in which they are tried. To add one: add a line. */
export const PREFERENCE_FORMATS = {
  answers,
  continued,
  lists,
  transcripts,
} as const satisfies Readonly<Record<string, PreferenceFormat>>;

export type PreferenceFormatId = keyof typeof PREFERENCE_FORMATS;

/** The format of a record, or undefined when none has its fields. */
export function preferenceFormatOf(fields: Fields): PreferenceFormatId | undefined {
  const ids = Object.keys(PREFERENCE_FORMATS) as PreferenceFormatId[];
  return ids.find((id) => PREFERENCE_FORMATS[id].matches(fields));
}
