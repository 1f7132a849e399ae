import type { ColumnMapping, PreferenceMapping } from '@cotune/fl-core';
import { InvalidArgumentError } from 'commander';

export type Columns = ColumnMapping | PreferenceMapping;

export const MAP_HELP =
  'columns to read: prompt=COLUMN,response=COLUMN, for preferences prompt=COLUMN,chosen=COLUMN,rejected=COLUMN';

const ROLES = ['prompt', 'response', 'chosen', 'rejected'];
const SEPARATOR = new RegExp(`,(?=\\s*(?:${ROLES.join('|')})\\s*=)`);

/** Reads `--map`. A column's name may hold commas and equal signs. Throws InvalidArgumentError. */
export function columnMap(text: string): Columns {
  const named = new Map<string, string>();
  for (const part of text.split(SEPARATOR)) {
    const [role = '', ...rest] = part.split('=');
    const column = rest.join('=').trim();
    if (!ROLES.includes(role.trim()) || column === '' || named.has(role.trim())) throw misread(text);
    named.set(role.trim(), column);
  }
  const of = (role: string): string => named.get(role) ?? '';
  const has = (...roles: readonly string[]) => named.size === roles.length && roles.every((role) => named.has(role));
  if (has('prompt', 'response')) return { prompt: of('prompt'), response: of('response') };
  if (has('prompt', 'chosen', 'rejected')) {
    return { prompt: of('prompt'), chosen: of('chosen'), rejected: of('rejected') };
  }
  throw misread(text);
}

const misread = (text: string): InvalidArgumentError =>
  new InvalidArgumentError(
    `Got "${text}", expected prompt=COLUMN,response=COLUMN or prompt=COLUMN,chosen=COLUMN,rejected=COLUMN.`,
  );
