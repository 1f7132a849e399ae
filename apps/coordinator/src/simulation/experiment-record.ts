import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../cli/output.ts';
import { readIfThere, writeDurably } from './durable-files.ts';
import {
  EXPERIMENT_FILE,
  type ExperimentRecord,
  experimentRecord,
  METRICS_FILE,
  RESULT_FILE,
  STATE_DIRECTORY,
} from './records.ts';
import { parseWritten } from './written-json.ts';

export interface AgreedRecord {
  readonly record: ExperimentRecord;
  /** Of the record as it was written: settings that came later, whose defaults say what was done before, do not make it another. */
  readonly identity: string;
}

/**
 * The record that the directory holds, or this one where it holds none. Throws UserError when they are of different
 * experiments, or when there are results of which no record says what they are.
 */
export async function agreedRecord(
  out: string,
  record: ExperimentRecord,
  onNotice: (message: string) => void,
): Promise<AgreedRecord> {
  const path = join(out, EXPERIMENT_FILE);
  const text = await readIfThere(path);
  if (text === undefined) {
    await refuseCells(out);
    await writeDurably(path, `${JSON.stringify(record, null, 2)}\n`);
    return { record, identity: experimentIdentity(record) };
  }
  const held = parseWritten(path, text, experimentRecord);
  const { device, cotune, ...rest } = record;
  for (const name of Object.keys(rest) as (keyof typeof rest)[]) {
    const where = difference(held[name], rest[name], NAMES[name] ?? name);
    if (where)
      throw new UserError(
        `${path} is of another experiment (${where}): choose another --out, or remove the whole of ${out}`,
      );
  }
  if (held.device !== device) onNotice(`begun on ${held.device}, going on with ${device}: it may round in other ways`);
  if (held.cotune !== cotune)
    onNotice(`begun by Cotune ${held.cotune || 'of an earlier version'}, going on with ${cotune}: figures may differ`);
  return { record: held, identity: experimentIdentity(JSON.parse(text)) };
}

/** Tells an experiment from all others: of all that decides its figures, but for the device and the version of Cotune. */
export function experimentIdentity({
  device: _device,
  cotune: _cotune,
  ...record
}: Readonly<Partial<ExperimentRecord>>): string {
  return createHash('sha256')
    .update(JSON.stringify(sorted(record)))
    .digest('hex');
}

/** Throws UserError unless what `path` holds is of this experiment. */
export function requireSame(path: string, identity: string | undefined, expected: string): void {
  if (identity === expected) return;
  throw new UserError(`${path} is of another experiment: remove it to run the cell anew, or choose another --out`);
}

async function refuseCells(out: string): Promise<void> {
  const within = await readdir(out, { withFileTypes: true });
  const isCell = (path: string) =>
    [RESULT_FILE, METRICS_FILE, STATE_DIRECTORY].some((name) => existsSync(join(path, name)));
  const cell = within.find((entry) => entry.isDirectory() && isCell(join(out, entry.name)));
  if (cell)
    throw new UserError(
      `${out} holds results (${join(out, cell.name)}) but no ${EXPERIMENT_FILE} that says of what: remove the whole of ${out}, or choose another --out`,
    );
}

const NAMES: Partial<Record<keyof ExperimentRecord, string>> = {
  config: 'configuration',
  clients_limit: '--clients-limit',
  data_sha256: 'the rows',
  weights: 'the model’s weights',
  adapter_sha256: 'the adapter to start from',
};

/** Where two plain values differ first, in words; undefined when they are the same. */
function difference(a: unknown, b: unknown, path: string): string | undefined {
  if (typeof a === 'object' && typeof b === 'object' && a !== null && b !== null) {
    for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
      const found = difference(
        (a as Record<string, unknown>)[key],
        (b as Record<string, unknown>)[key],
        `${path}.${key}`,
      );
      if (found) return found;
    }
    return undefined;
  }
  return Object.is(a, b) ? undefined : `${path}: got ${JSON.stringify(b)}, there it is ${JSON.stringify(a)}`;
}

/** With the keys of every object in order: a file's may have another. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, one]) => [key, sorted(one)]),
  );
}
