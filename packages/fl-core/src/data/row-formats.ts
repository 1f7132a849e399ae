import { type Dialogue, dialogueOf, jsonText, readTurns, type Turn } from './conversation.ts';
import { AMBIGUOUS } from './records.ts';

/** A prompt and the response that is to be learnt, with the turns before them, or why the record holds none. */
export type RowText = Dialogue | { readonly reason: string };

/** A record's fields under lower-case names. */
export type Fields = ReadonlyMap<string, unknown>;

/** A record's fields as formats look for them; AMBIGUOUS under a name that several have with different values. */
export function lowerCase(record: Readonly<Record<string, unknown>>): Fields {
  const fields = new Map<string, unknown>();
  for (const [name, value] of Object.entries(record)) {
    const lower = name.trim().toLowerCase();
    fields.set(lower, fields.has(lower) && fields.get(lower) !== value ? AMBIGUOUS : value);
  }
  return fields;
}

export interface RowFormat {
  readonly label: string;
  /** Whether a record with these fields is in this format. */
  matches(fields: Fields): boolean;
  read(fields: Fields): RowText;
}

/** A format whose prompt and response are one field each; the first name found of each list is taken. */
function pair(label: string, prompts: readonly string[], responses: readonly string[]): RowFormat {
  const find = (fields: Fields, names: readonly string[]): string | undefined => names.find((name) => fields.has(name));
  return {
    label,
    matches: (fields) => find(fields, prompts) !== undefined && find(fields, responses) !== undefined,
    read: (fields) => readPair(fields, find(fields, prompts) ?? '', find(fields, responses) ?? ''),
  };
}

/**
 * Conversations as ShareGPT has them (`conversations`: from, value) and as chat APIs do (`messages`: role, content), with
 * what the tools are (`tools`, as glaive has it) before the first question.
 */
const conversation: RowFormat = {
  label: 'conversation',
  matches: (fields) => turnsOf(fields) !== undefined,
  read(fields) {
    if (isUnwanted(fields)) return { reason: UNWANTED };
    const turns = readTurns(turnsOf(fields) ?? []);
    if ('reason' in turns) return turns;
    const tools = fields.get('tools');
    const described = typeof tools === 'string' ? tools : Array.isArray(tools) ? (jsonText(tools) ?? '') : '';
    const system: Turn[] = described === '' || described === '[]' ? [] : [{ role: 'system', text: described }];
    return dialogueOf([...system, ...turns]);
  },
};

function turnsOf(fields: Fields): readonly unknown[] | undefined {
  const whole = [fields.get('messages'), fields.get('conversations'), fields.get('conversation')].find(Array.isArray);
  if (whole) return whole;
  const [prompt, completion] = [fields.get('prompt'), fields.get('completion')];
  return Array.isArray(prompt) && Array.isArray(completion) ? [...prompt, ...completion] : undefined;
}

const UNWANTED = 'is labelled as an unwanted answer';

/** KTO's label: answers that people did not want are no examples. */
function isUnwanted(fields: Fields): boolean {
  const label = fields.get('label') ?? fields.get('kto_tag');
  return label === false || (typeof label === 'string' && label.toLowerCase() === 'false');
}

/** instruction, output and an optional input, which follows the instruction after a space as in OpenFedLLM. */
const alpaca: RowFormat = {
  label: 'Alpaca (instruction, input, output)',
  matches: (fields) => fields.has('instruction') && (fields.has('output') || fields.has('response')),
  read(fields) {
    if (isUnwanted(fields)) return { reason: UNWANTED };
    const read = readPair(fields, 'instruction', fields.has('output') ? 'output' : 'response');
    if ('reason' in read) return read;
    const question = instructionOf(fields);
    if (question === undefined) return { reason: missing(...inputOf(fields)) };
    const history = historyOf(fields.get('history'));
    if (history === undefined) return { reason: 'history is not a list of questions and answers' };
    const system = fields.get('system');
    const turns: Turn[] = typeof system === 'string' ? [{ role: 'system', text: system }] : [];
    turns.push(...history, { role: 'user', text: question }, { role: 'assistant', text: read.response });
    return dialogueOf(turns);
  },
};

/** An Alpaca record's question; undefined when its instruction or its input is no text. */
export function instructionOf(fields: Fields): string | undefined {
  const instruction = plainText(fields.get('instruction'));
  const input = plainText(inputOf(fields)[1] ?? '');
  if (typeof instruction !== 'string' || typeof input !== 'string') return undefined;
  return input.trim() === '' ? instruction : `${instruction} ${input}`;
}

function inputOf(fields: Fields): [name: string, value: unknown] {
  const name = ['input', 'context'].find((one) => fields.get(one) !== undefined && fields.get(one) !== null) ?? 'input';
  return [name, fields.get(name)];
}

/** Earlier questions and answers as LLaMA-Factory's Alpaca files have them: pairs of texts. */
function historyOf(value: unknown): Turn[] | undefined {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) return undefined;
  const turns: Turn[] = [];
  for (const pair of value as unknown[]) {
    if (!Array.isArray(pair) || pair.length !== 2 || !pair.every((text) => typeof text === 'string')) return undefined;
    turns.push({ role: 'user', text: pair[0] as string }, { role: 'assistant', text: pair[1] as string });
  }
  return turns;
}

/**
 * PubMedQA (Jin et al. 2019, arXiv 1909.06146): the abstract's sections, a blank line and the question; the answer is the
 * decision (yes, no, maybe) where there is one, else the long answer. Map the columns to learn the long answers instead.
 */
const pubmedqa: RowFormat = {
  label: 'PubMedQA (question, contexts, final decision or long answer)',
  matches: (fields) =>
    fields.has('question') &&
    contextsOf(fields) !== undefined &&
    (fields.has('final_decision') || fields.has('long_answer')),
  read(fields) {
    const decided = typeof fields.get('final_decision') === 'string';
    const read = readPair(fields, 'question', decided ? 'final_decision' : 'long_answer');
    if ('reason' in read) return read;
    return { ...read, prompt: [...(contextsOf(fields) ?? []), '', read.prompt].join('\n') };
  },
};

function contextsOf(fields: Fields): readonly string[] | undefined {
  const nested = fields.get('context') as { contexts?: unknown } | null | undefined;
  const contexts = fields.get('contexts') ?? nested?.contexts;
  return Array.isArray(contexts) && contexts.every((text) => typeof text === 'string') ? contexts : undefined;
}

/** A prompt and its completion. */
const prompt: RowFormat = {
  label: 'prompt and response',
  matches: (fields) =>
    fields.has('prompt') && !Array.isArray(fields.get('prompt')) && PROMPT_RESPONSES.some((name) => fields.has(name)),
  read: (fields) =>
    isUnwanted(fields)
      ? { reason: UNWANTED }
      : readPair(fields, 'prompt', PROMPT_RESPONSES.find((name) => fields.has(name)) ?? ''),
};
const PROMPT_RESPONSES = ['response', 'completion', 'answer', 'output'];

/** Preference pairs belong to another task and are refused by name rather than half read. */
const preference: RowFormat = {
  label: 'preference pairs (chosen, rejected)',
  matches: (fields) => fields.has('chosen') && fields.has('rejected'),
  read: () => ({ reason: 'is a preference pair (chosen, rejected), expected a prompt and a response' }),
};

/** Text to be learnt as it is: no prompt, and so no template. */
const textAlone: RowFormat = {
  label: 'text alone',
  matches: (fields) => TEXTS.some((name) => fields.has(name)),
  read(fields) {
    const name = TEXTS.find((candidate) => fields.has(candidate)) ?? '';
    const text = fields.get(name);
    if (typeof text !== 'string') return { reason: missing(name, text) };
    return text.trim() === '' ? { reason: `${name} is empty` } : { prompt: '', response: text };
  },
};
const TEXTS = ['text', 'content'];

/** Every format, in the order in which they are tried. To add one: add a line. */
export const ROW_FORMATS = {
  alpaca,
  prompt,
  pubmedqa,
  question: pair('question and answer', ['question', 'problem', 'query'], ['answer', 'response', 'solution', 'output']),
  preference,
  conversation,
  'input-output': pair('input and output', ['input'], ['output', 'response']),
  classification: pair('text and label', ['text', 'sentence', 'headline', 'tweet'], ['label', 'sentiment', 'class']),
  code: pair('task and code', ['text'], ['code']),
  text: textAlone,
} as const satisfies Readonly<Record<string, RowFormat>>;

export type RowFormatId = keyof typeof ROW_FORMATS;

/** The format of a record, or undefined when none has its fields. */
export function rowFormatOf(fields: Fields): RowFormatId | undefined {
  const ids = Object.keys(ROW_FORMATS) as RowFormatId[];
  return ids.find((id) => ROW_FORMATS[id].matches(fields));
}

/** Two fields as prompt and response. */
export function readPair(fields: Fields, promptField: string, responseField: string): RowText {
  const [prompt, response] = [promptField, responseField].map((name) => plainText(fields.get(name)));
  if (typeof prompt !== 'string') return { reason: missing(promptField, prompt) };
  if (typeof response !== 'string') return { reason: missing(responseField, response) };
  if (prompt.trim() === '') return { reason: `${promptField} is empty` };
  if (response.trim() === '') return { reason: `${responseField} is empty` };
  return { prompt, response };
}

/** A value as text where it can be one: finite numbers and booleans (class labels) become text, others stay. */
function plainText(value: unknown): unknown {
  const plain = typeof value === 'number' ? Number.isFinite(value) : ['boolean', 'bigint'].includes(typeof value);
  return plain ? String(value) : value;
}

function missing(name: string, value: unknown): string {
  if (value === AMBIGUOUS) return `${name} is there more than once, with different values`;
  if (typeof value === 'number' && !Number.isFinite(value)) return `${name} is not a finite number`;
  return value === undefined || value === null ? `has no ${name}` : `${name} is not text`;
}
