import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../cli/output.ts';
import { type Cell, cellsOf } from '../simulation/cells.ts';
import { readIfThere } from '../simulation/durable-files.ts';
import { experimentIdentity } from '../simulation/experiment-record.ts';
import {
  type CellResult,
  cellResult,
  EXPERIMENT_FILE,
  type ExperimentRecord,
  experimentRecord,
  IDENTITY_FILE,
  METRICS_FILE,
  RESULT_FILE,
  type RoundRecord,
  roundRecord,
  STATE_DIRECTORY,
} from '../simulation/records.ts';
import { parseWritten } from '../simulation/written-json.ts';

/** A cell as its directory has it. */
export interface ReadCell {
  readonly cell: Cell;
  /** What the cell has in common over seeds and clients: `fedavg`, `fedavg-2`, `local`, `local-every-round`, `pooled`. */
  readonly group: string;
  /** Empty before the cell was begun. */
  readonly rounds: readonly RoundRecord[];
  /** null while the cell is unfinished. */
  readonly result: CellResult | null;
}

/** A simulation's directory. */
export interface ReadExperiment {
  readonly directory: string;
  readonly record: ExperimentRecord;
  readonly cells: readonly ReadCell[];
}

/**
 * Reads what `cotune simulate` has written so far. Throws UserError, which names the file, where the directory is no
 * simulation's, a file is not as simulations write it, or a cell is of another experiment.
 */
export async function readExperiment(directory: string): Promise<ReadExperiment> {
  const path = join(directory, EXPERIMENT_FILE);
  const text = await readIfThere(path);
  if (text === undefined) throw new UserError(await missing(directory));
  const record = parseWritten(path, text, experimentRecord);
  // As it was written, and with what later versions fill in: either may have been hashed.
  const identities = [experimentIdentity(JSON.parse(text)), experimentIdentity(record)];
  const cells: ReadCell[] = [];
  for (const cell of cellsOf(record.config, record.clients_limit)) {
    const own = join(directory, cell.name);
    const resultText = await readIfThere(join(own, RESULT_FILE));
    const result = resultText === undefined ? null : parseWritten(join(own, RESULT_FILE), resultText, cellResult);
    const path = result ? join(own, RESULT_FILE) : join(own, STATE_DIRECTORY);
    requireOwn(path, result ? result.experiment_sha256 : await readIfThere(join(path, IDENTITY_FILE)), identities);
    const group = cell.kind === 'federated' ? cell.name.replace(/-seed\d+$/, '') : cell.kind;
    cells.push({ cell, group, result, rounds: await readRounds(join(own, METRICS_FILE)) });
  }
  return { directory, record, cells };
}

/** The clients alone that federations are compared with: in the drawn rounds, if there are such; null where nobody trains alone. */
export function aloneGroup({ cells }: ReadExperiment): 'local' | 'local-every-round' | null {
  const kinds = ['local', 'local-every-round'] as const;
  return kinds.find((kind) => cells.some(({ cell }) => cell.kind === kind)) ?? null;
}

/** What does not say of which experiment it is, as of an early version or before a cell was begun, is taken as it is. */
function requireOwn(path: string, identity: string | undefined, identities: readonly string[]): void {
  if (!identity || identities.includes(identity)) return;
  throw new UserError(
    `${path} is of another experiment than ${EXPERIMENT_FILE} beside it: remove the cell’s directory, and run it anew with cotune simulate`,
  );
}

async function readRounds(path: string): Promise<RoundRecord[]> {
  const text = (await readIfThere(path)) ?? '';
  return text
    .split('\n')
    .flatMap((line, i) => (line.trim() === '' ? [] : [parseWritten(`${path}, line ${i + 1}`, line, roundRecord)]));
}

async function missing(directory: string): Promise<string> {
  let entries: string[];
  try {
    entries = await readdir(directory);
  } catch {
    return `no such directory: ${directory}`;
  }
  const within: string[] = [];
  for (const entry of entries) {
    if ((await readIfThere(join(directory, entry, EXPERIMENT_FILE))) !== undefined) within.push(join(directory, entry));
  }
  const more = within.length > 5 ? ' …' : '';
  const hint = within.length > 0 ? `; did you mean ${within.slice(0, 5).join(' ')}${more}?` : '';
  return `${directory} has no ${EXPERIMENT_FILE}, expected a directory that cotune simulate wrote with --out${hint}`;
}
