import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../cli/output.ts';
import { type Cell, cellsOf } from '../simulation/cells.ts';
import { readIfThere } from '../simulation/durable-files.ts';
import {
  type CellResult,
  cellResult,
  EXPERIMENT_FILE,
  type ExperimentRecord,
  experimentRecord,
  METRICS_FILE,
  RESULT_FILE,
  type RoundRecord,
  roundRecord,
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
 * simulation's or a file is not as simulations write it.
 */
export async function readExperiment(directory: string): Promise<ReadExperiment> {
  const path = join(directory, EXPERIMENT_FILE);
  const text = await readIfThere(path);
  if (text === undefined) throw new UserError(await missing(directory));
  const record = parseWritten(path, text, experimentRecord);
  const cells: ReadCell[] = [];
  for (const cell of cellsOf(record.config, record.clients_limit)) {
    const own = join(directory, cell.name);
    const resultText = await readIfThere(join(own, RESULT_FILE));
    const result = resultText === undefined ? null : parseWritten(join(own, RESULT_FILE), resultText, cellResult);
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
