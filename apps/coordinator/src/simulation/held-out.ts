import { createRng, selectRows, type TaskRows } from '@cotune/fl-core';

/**
 * Splits rows into held-out ones, about `share` of them (at least one), and the rest. Rows of equal prompt stay together, so
 * that no prompt is on both sides: groups are taken in an order drawn by the seed, those that would be too many left out.
 */
export function splitOff(rows: TaskRows, share: number, seed: string): { heldOut: TaskRows; rest: TaskRows } {
  const groups = new Map<string, number[]>();
  for (const [i, prompt] of promptsOf(rows).entries()) {
    const group = groups.get(prompt);
    if (group) group.push(i);
    else groups.set(prompt, [i]);
  }
  const count = rows.rows.length;
  const wanted = Math.max(1, Math.round(count * share));
  const order = createRng(seed).shuffle([...groups.values()]);
  const held = new Set<number>();
  for (const group of order) if (held.size + group.length <= wanted) for (const i of group) held.add(i);
  // Where even the smallest group is more than what is wanted.
  if (held.size === 0) for (const i of smallest(order)) held.add(i);
  const indices = Array.from({ length: count }, (_, i) => i);
  return {
    heldOut: selectRows(
      rows,
      indices.filter((i) => held.has(i)),
    ),
    rest: selectRows(
      rows,
      indices.filter((i) => !held.has(i)),
    ),
  };
}

/** The rows whose prompt is not among these, and how many others there were. */
export function withoutPrompts(rows: TaskRows, prompts: ReadonlySet<string>): { rest: TaskRows; left: number } {
  const kept = promptsOf(rows).flatMap((prompt, i) => (prompts.has(prompt) ? [] : [i]));
  return { rest: selectRows(rows, kept), left: rows.rows.length - kept.length };
}

/** What is the same for rows that ask the same: all turns before the answer. Text without a prompt stands for itself. */
export function promptsOf(rows: TaskRows): string[] {
  if (rows.task === 'dpo') return rows.rows.map(({ turns }) => JSON.stringify(turns));
  return rows.rows.map(({ history = [], prompt, response }) => {
    const turns = [...history.flatMap((turn) => [turn.prompt, turn.response]), prompt];
    return JSON.stringify(turns.some((turn) => turn !== '') ? turns : ['', response]);
  });
}

const smallest = (groups: readonly number[][]): readonly number[] =>
  groups.reduce((found, group) => (group.length < found.length ? group : found), groups[0] ?? []);
