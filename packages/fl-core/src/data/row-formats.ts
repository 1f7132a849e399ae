/** A prompt and the response that is to be learnt, or why the record holds none. */
export type RowText = { readonly prompt: string; readonly response: string } | { readonly reason: string };

/** A record's fields under lower-case names. */
export type Fields = ReadonlyMap<string, unknown>;

/** A record's fields as formats look for them. */
export function lowerCase(record: Readonly<Record<string, unknown>>): Fields {
  return new Map(Object.entries(record).map(([name, value]) => [name.trim().toLowerCase(), value]));
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

/** Conversations as ShareGPT has them (`conversations`: from, value) and as chat APIs do (`messages`: role, content). */
const conversation: RowFormat = {
  label: 'conversation of one question and one answer',
  matches: (fields) => Array.isArray(fields.get('messages')) || Array.isArray(fields.get('conversations')),
  read(fields) {
    if (fields.get('label') === false) return { reason: 'is labelled as an unwanted answer' };
    const turns = (fields.get('messages') ?? fields.get('conversations')) as Record<string, unknown>[];
    const said = turns.map((turn) => ({
      role: ROLES[String(turn?.role ?? turn?.from)],
      text: turn?.content ?? turn?.value,
    }));
    if (said.some(({ text }) => typeof text !== 'string')) return { reason: 'has a turn without text' };
    if (said.map(({ role }) => role ?? 'other').join() === 'system,user,assistant') {
      return { prompt: `${said[0]?.text}\n\n${said[1]?.text}`, response: String(said[2]?.text) };
    }
    if (said.map(({ role }) => role ?? 'other').join() !== 'user,assistant') {
      return { reason: `has ${said.length} turns, expected one question and its answer` };
    }
    return { prompt: String(said[0]?.text), response: String(said[1]?.text) };
  },
};

/** Speakers by the names that data sets give them. */
export const ROLES: Readonly<Record<string, string>> = {
  human: 'user',
  user: 'user',
  gpt: 'assistant',
  assistant: 'assistant',
  bot: 'assistant',
  system: 'system',
};

/** instruction, output and an optional input, which follows the instruction after a space as in OpenFedLLM. */
const alpaca: RowFormat = {
  label: 'Alpaca (instruction, input, output)',
  matches: (fields) => fields.has('instruction') && (fields.has('output') || fields.has('response')),
  read(fields) {
    const read = readPair(fields, 'instruction', fields.has('output') ? 'output' : 'response');
    if ('reason' in read) return read;
    const input = fields.get('input') ?? '';
    if (typeof input !== 'string') return { reason: 'input is not text' };
    return input.trim() === '' ? read : { ...read, prompt: `${read.prompt} ${input}` };
  },
};

/** Preference pairs belong to another task and are refused by name rather than half read. */
const preference: RowFormat = {
  label: 'preference pairs (chosen, rejected)',
  matches: (fields) => fields.has('chosen') && fields.has('rejected'),
  read: () => ({ reason: 'is a preference pair (chosen, rejected), expected a prompt and a response' }),
};

const plainText: RowFormat = {
  label: 'text alone',
  matches: (fields) => fields.has('text') || fields.has('content'),
  read: () => ({ reason: 'has text but no response to learn' }),
};

/** Every format, in the order in which they are tried. To add one: add a line. */
export const ROW_FORMATS = {
  alpaca,
  prompt: pair('prompt and response', ['prompt'], ['response', 'completion', 'answer', 'output']),
  question: pair('question and answer', ['question', 'problem', 'query'], ['answer', 'response', 'solution', 'output']),
  preference,
  conversation,
  'input-output': pair('input and output', ['input'], ['output', 'response']),
  classification: pair('text and label', ['text', 'sentence', 'headline', 'tweet'], ['label', 'sentiment', 'class']),
  text: plainText,
} as const satisfies Readonly<Record<string, RowFormat>>;

export type RowFormatId = keyof typeof ROW_FORMATS;

/** The format of a record, or undefined when none has its fields. */
export function rowFormatOf(fields: Fields): RowFormatId | undefined {
  const ids = Object.keys(ROW_FORMATS) as RowFormatId[];
  return ids.find((id) => ROW_FORMATS[id].matches(fields));
}

/** Two fields as prompt and response; numbers and booleans (class labels) become text. */
export function readPair(fields: Fields, promptField: string, responseField: string): RowText {
  const [prompt, response] = [promptField, responseField].map((name) => {
    const value = fields.get(name);
    return typeof value === 'number' || typeof value === 'boolean' ? String(value) : value;
  });
  if (typeof prompt !== 'string') return { reason: missing(promptField, prompt) };
  if (typeof response !== 'string') return { reason: missing(responseField, response) };
  if (prompt.trim() === '') return { reason: `${promptField} is empty` };
  if (response.trim() === '') return { reason: `${responseField} is empty` };
  return { prompt, response };
}

function missing(name: string, value: unknown): string {
  return value === undefined || value === null ? `has no ${name}` : `${name} is not text`;
}
