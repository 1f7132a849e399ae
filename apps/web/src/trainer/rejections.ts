import type { RejectedRow } from '@cotune/fl-core';

/** Rows that were left out for one reason. */
export interface Rejection {
  /** Completes "row …", in the words of the first of them. */
  readonly reason: string;
  readonly count: number;
  /** Where they begin in the file, the first ones. */
  readonly lines: readonly number[];
}

const SHOWN_LINES = 20;

/** Rejected rows by reason, most frequent first. Reasons that differ only in their numbers are one. */
export function groupRejections(rejected: readonly RejectedRow[]): readonly Rejection[] {
  const groups = new Map<string, { reason: string; count: number; lines: number[] }>();
  for (const { line, reason } of [...rejected].sort((a, b) => a.line - b.line)) {
    const key = reason.replace(/\d+/g, '#');
    const group = groups.get(key) ?? { reason, count: 0, lines: [] };
    groups.set(key, group);
    group.count++;
    if (group.lines.length < SHOWN_LINES) group.lines.push(line);
  }
  return [...groups.values()].sort((a, b) => b.count - a.count);
}
