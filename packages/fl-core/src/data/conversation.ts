/** One thing said in a conversation. */
export interface Turn {
  readonly role: 'system' | 'user' | 'assistant' | 'tool';
  readonly text: string;
}

/** Speakers by the names that data sets give them. What a tool answers is told to the model as a question is. */
const ROLES: Readonly<Record<string, Turn['role']>> = {
  human: 'user',
  user: 'user',
  prompter: 'user',
  gpt: 'assistant',
  assistant: 'assistant',
  bot: 'assistant',
  chatgpt: 'assistant',
  model: 'assistant',
  function_call: 'assistant',
  system: 'system',
  observation: 'tool',
  function: 'tool',
  tool: 'tool',
  ipython: 'tool',
};

type Reason = { readonly reason: string };

/** Turns as ShareGPT has them (from, value) or as chat APIs do (role, content; calls of tools as their JSON). */
export function readTurns(values: readonly unknown[]): readonly Turn[] | Reason {
  const turns: Turn[] = [];
  for (const value of values) {
    const turn = (typeof value === 'object' && value !== null ? value : {}) as Readonly<Record<string, unknown>>;
    const role = roleOf(turn.role ?? turn.from);
    const text = textOf(turn.content ?? turn.value) ?? callsOf(turn.tool_calls);
    if (text === undefined) return { reason: 'has a turn without text' };
    if (role === undefined) return { reason: 'has a turn of an unknown speaker' };
    turns.push({ role, text });
  }
  return turns;
}

/** The speaker that a name stands for. */
export function roleOf(name: unknown): Turn['role'] | undefined {
  const lower = typeof name === 'string' ? name.toLowerCase() : '';
  return Object.hasOwn(ROLES, lower) ? ROLES[lower] : undefined;
}

function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (!Array.isArray(value)) return undefined;
  const parts = value.map((part: unknown) => (part as { text?: unknown } | null)?.text);
  return parts.length > 0 && parts.every((part) => typeof part === 'string') ? parts.join('\n') : undefined;
}

function callsOf(value: unknown): string | undefined {
  return Array.isArray(value) && value.length > 0 ? jsonText(value) : undefined;
}

/** A value's JSON, or undefined for what has none or nests too deeply. */
export function jsonText(value: unknown): string | undefined {
  try {
    return JSON.stringify(value, (_, item: unknown) => (typeof item === 'bigint' ? String(item) : item));
  } catch {
    return undefined;
  }
}

/**
 * Turns as questions and answers in turn: a system turn goes before the next question, with a blank line between them;
 * answers of several tools to one call become one question; blank system turns are left out.
 */
export function questionsAndAnswers(turns: readonly Turn[]): readonly Turn[] | Reason {
  const merged: Turn[] = [];
  let before: string[] = [];
  let lastWasTool = false;
  for (const { role, text } of turns) {
    if (text.trim() === '') {
      if (role === 'system') continue;
      return { reason: 'has an empty turn' };
    }
    if (role === 'system') {
      before.push(text);
      continue;
    }
    const last = merged.at(-1);
    const speaker = role === 'tool' ? 'user' : role;
    if (role === 'tool' && lastWasTool && last) merged[merged.length - 1] = { ...last, text: `${last.text}\n${text}` };
    else if (last?.role === speaker) return { reason: `has two turns of the ${speaker} in a row` };
    else if (speaker === 'assistant') merged.push({ role: speaker, text });
    else {
      merged.push({ role: speaker, text: [...before, text].join('\n\n') });
      before = [];
    }
    lastWasTool = role === 'tool';
  }
  return before.length > 0 ? { reason: 'ends in a system turn' } : merged;
}

/** A last question and its answer, after those before them. */
export interface Dialogue {
  readonly history?: readonly { readonly prompt: string; readonly response: string }[];
  readonly prompt: string;
  readonly response: string;
}

/**
 * A conversation as one row. An answer before the first question answers nothing, and a question at the end has nothing
 * to learn: both are left out.
 */
export function dialogueOf(turns: readonly Turn[]): Dialogue | Reason {
  const merged = questionsAndAnswers(turns);
  if ('reason' in merged) return merged;
  const first = merged[0]?.role === 'assistant' ? 1 : 0;
  const pairs: { prompt: string; response: string }[] = [];
  for (let i = first; i + 1 < merged.length; i += 2) {
    pairs.push({ prompt: merged[i]?.text ?? '', response: merged[i + 1]?.text ?? '' });
  }
  const last = pairs.pop();
  if (!last) return { reason: `has ${turns.length} turns, expected a question and its answer` };
  return pairs.length > 0 ? { history: pairs, ...last } : last;
}
