import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { RejectedLine } from './rejected-rows.ts';

export interface TokenizedExample {
  readonly inputIds: readonly number[];
  readonly labels: readonly number[];
}

/** Reads a JSONL file row by row; `parse` gives a row or why it is none. */
export async function collectTokenRows<Row extends object>(
  file: string,
  parse: (row: Readonly<Record<string, unknown>>) => Row | string,
): Promise<{ rows: Row[]; rejected: RejectedLine[] }> {
  const rows: Row[] = [];
  const rejected: RejectedLine[] = [];
  let line = 0;
  for await (const text of createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY })) {
    line += 1;
    if (text.trim() === '') continue;
    const parsed = parseJson(text);
    const row = typeof parsed === 'string' ? parsed : parse(parsed);
    if (typeof row === 'string') rejected.push({ file, line, reason: row });
    else rows.push(row);
  }
  return { rows, rejected };
}

function parseJson(text: string): Readonly<Record<string, unknown>> | string {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : 'is not an object';
  } catch (error) {
    return `not JSON: ${(error as Error).message}`;
  }
}

/** What a model takes. */
export interface TokenLimits {
  readonly vocabSize: number;
  readonly maxPositions: number;
}

/** Ids and labels of one sequence, or why they are none; `prefix` names the fields in a reason. */
export function parseTokenRow(
  inputIds: unknown,
  labels: unknown,
  { vocabSize, maxPositions }: TokenLimits,
  prefix = '',
): TokenizedExample | string {
  const isIds = (value: unknown, low: number): value is number[] =>
    Array.isArray(value) && value.every((id) => Number.isInteger(id) && (id === -100 || id >= low) && id < vocabSize);
  if (!isIds(inputIds, 0) || inputIds.includes(-100))
    return `${prefix}input_ids: expected whole numbers from 0 to ${vocabSize - 1}`;
  if (!isIds(labels, 0)) return `${prefix}labels: expected −100 or whole numbers from 0 to ${vocabSize - 1}`;
  if (inputIds.length !== labels.length)
    return `${inputIds.length} ${prefix}input_ids but ${labels.length} ${prefix}labels`;
  if (inputIds.length > maxPositions) return `${inputIds.length} ${prefix}input_ids, the model takes ${maxPositions}`;
  if (!labels.slice(1).some((label) => label !== -100)) return `${prefix}labels: no label after the first position`;
  return { inputIds, labels };
}
