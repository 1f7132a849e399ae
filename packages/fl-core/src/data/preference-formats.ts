import { type Fields, ROLES } from './row-formats.ts';

/** A dialogue with two answers to its last question, or why the record holds none. */
export type PreferenceText =
  | { readonly turns: readonly string[]; readonly chosen: string; readonly rejected: string }
  | { readonly reason: string };

export interface PreferenceFormat {
  readonly label: string;
  matches(fields: Fields): boolean;
  read(fields: Fields): PreferenceText;
}

interface Turn {
  readonly role: string | undefined;
  readonly text: string;
}

const isText = (value: unknown): value is string => typeof value === 'string';
const bothAre = (fields: Fields, is: (value: unknown) => boolean): boolean =>
  is(fields.get('chosen')) && is(fields.get('rejected'));

/** One question and two answers, a field each. */
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
  return [fields.get('prompt'), fields.get('question'), fields.get('instruction')].find(isText);
}

/** Two lists of turns as UltraFeedback has them: role and content, or from and value. */
const lists: PreferenceFormat = {
  label: 'chosen and rejected as lists of turns',
  matches: (fields) => bothAre(fields, Array.isArray),
  read(fields) {
    const [chosen, rejected] = ['chosen', 'rejected'].map((name) =>
      (fields.get(name) as (Record<string, unknown> | null)[]).map((turn) => ({
        role: ROLES[String(turn?.role ?? turn?.from)],
        text: turn?.content ?? turn?.value,
      })),
    );
    if (![...(chosen ?? []), ...(rejected ?? [])].every((turn): turn is Turn => isText(turn.text))) {
      return { reason: 'has a turn without text' };
    }
    const question = questionOf(fields);
    const both = [chosen, rejected].map((turns) => withQuestion((turns ?? []) as Turn[], question));
    return splitDialogues(both[0] ?? [], both[1] ?? []);
  },
};

/** A list that holds the answer alone gets its question from the record; a system turn joins the first question. */
function withQuestion(turns: readonly Turn[], question: string | undefined): readonly Turn[] {
  const [first, second, ...rest] = turns;
  if (first?.role === 'assistant' && question !== undefined) return [{ role: 'user', text: question }, ...turns];
  if (first?.role === 'system' && second?.role === 'user') {
    return [{ role: 'user', text: `${first.text}\n\n${second.text}` }, ...rest];
  }
  return turns;
}

/** Two whole transcripts as in HH-RLHF (Bai et al. 2022, arXiv 2204.05862): turns after "Human:" and "Assistant:". */
const transcripts: PreferenceFormat = {
  label: 'chosen and rejected as whole transcripts (HH-RLHF)',
  matches: (fields) => bothAre(fields, isText),
  read(fields) {
    const [chosen, rejected] = ['chosen', 'rejected'].map((name) => readTranscript(String(fields.get(name))));
    if (!chosen || !rejected) return { reason: 'is no transcript of Human: and Assistant: turns and has no prompt' };
    return splitDialogues(chosen, rejected);
  },
};

const TRANSCRIPT_ROLES: Readonly<Record<string, string>> = { Human: 'user', Assistant: 'assistant' };

function readTranscript(text: string): readonly Turn[] | undefined {
  const [before = '', ...parts] = `\n\n${text.trim()}`.split(/\n\n(Human|Assistant):/);
  if (before.trim() !== '' || parts.length === 0) return undefined;
  return Array.from({ length: parts.length / 2 }, (_, i) => ({
    role: TRANSCRIPT_ROLES[parts[2 * i] ?? ''],
    text: (parts[2 * i + 1] ?? '').trim(),
  }));
}

/**
 * The turns before the last are the prompt, and must be the same. Cutting at whole turns keeps the words with which both
 * answers begin in the answers.
 */
function splitDialogues(chosen: readonly Turn[], rejected: readonly Turn[]): PreferenceText {
  for (const [name, turns] of [
    ['chosen', chosen],
    ['rejected', rejected],
  ] as const) {
    const fits = turns.length % 2 === 0 && turns.every(({ role }, i) => role === (i % 2 === 0 ? 'user' : 'assistant'));
    if (!fits || turns.length === 0) return { reason: `${name}: is no dialogue of questions and answers in turn` };
  }
  const turns = chosen.slice(0, -1).map(({ text }) => text);
  if (chosen.length !== rejected.length || turns.some((text, i) => text !== rejected[i]?.text)) {
    return { reason: 'has dialogues that differ before their last answer' };
  }
  return { turns, chosen: chosen.at(-1)?.text ?? '', rejected: rejected.at(-1)?.text ?? '' };
}

/** Every format, in the order in which they are tried. To add one: add a line. */
export const PREFERENCE_FORMATS = {
  answers,
  lists,
  transcripts,
} as const satisfies Readonly<Record<string, PreferenceFormat>>;

export type PreferenceFormatId = keyof typeof PREFERENCE_FORMATS;

/** The format of a record, or undefined when none has its fields. */
export function preferenceFormatOf(fields: Fields): PreferenceFormatId | undefined {
  const ids = Object.keys(PREFERENCE_FORMATS) as PreferenceFormatId[];
  return ids.find((id) => PREFERENCE_FORMATS[id].matches(fields));
}
