import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { FlError, rowCount } from '@cotune/fl-core';
import { GpuError, ModelError } from '@cotune/kernels';
import { UserError } from '../cli/output.ts';
import { lockDataDir } from '../store/lock.ts';
import { VERSION } from '../version.ts';
import { type Cell, cellsOf, takingPart } from './cells.ts';
import type { ExperimentConfig } from './config.ts';
import { type ExperimentData, type OpenSource, readExperimentData } from './data.ts';
import { type Engine, openEngine } from './engine.ts';
import { type AgreedRecord, agreedRecord } from './experiment-record.ts';
import { type CellResult, EXPERIMENT_FILE, type ExperimentRecord } from './records.ts';
import { doneResult, runCell } from './run-cell.ts';
import { type JobListener, StoppedError } from './virtual-client.ts';

export interface ExperimentOptions {
  readonly config: ExperimentConfig;
  /** Directory of the configuration, which relative paths start from. */
  readonly base: string;
  readonly out: string;
  /** Only the first so many clients take part; null for all. */
  readonly clientsLimit: number | null;
  /** Only these cells are run now; the others keep their place. */
  readonly only?: readonly string[] | undefined;
  readonly software: boolean;
  /** The directory must have been begun. */
  readonly resume: boolean;
  readonly stop: AbortSignal;
  readonly open: OpenSource;
  readonly checkpointEveryMs?: number | undefined;
  onNotice(message: string): void;
  /** A cell begins; `place` counts from 0. */
  onCell(cell: Cell, place: { readonly index: number; readonly cells: number }): void;
  /** Steps taken in the cell so far, and of the cells to come. */
  onStep(cell: Cell, record: { steps: number; stepsToCome: number; round: number; lossNats: number | null }): void;
  onJob?: ((cell: Cell, ...training: Parameters<JobListener>) => Promise<void>) | undefined;
}

export interface ExperimentOutcome {
  readonly record: ExperimentRecord;
  /** Of the cells that are done, in their order. */
  readonly results: readonly CellResult[];
  /** Cells that could not be finished, e.g. because every client diverged. */
  readonly failed: readonly { readonly cell: string; readonly reason: string }[];
  /** Cells that have not been run. */
  readonly left: readonly string[];
  readonly stopped: boolean;
}

/** A kill costs at most so much of a client's training. */
const CHECKPOINT_EVERY_MS = 1000;

/**
 * Runs the cells of an experiment one after another on one device, or goes on where an earlier process stopped. Throws
 * UserError when the directory holds another experiment, and what no other cell would be spared: a full disk, a mistake of
 * the program.
 */
export async function runExperiment(options: ExperimentOptions): Promise<ExperimentOutcome> {
  const { config, base, out, clientsLimit, only, software, resume, onNotice } = options;
  if (resume && !existsSync(join(out, EXPERIMENT_FILE)))
    throw new UserError(`${out} holds no experiment to go on with: leave out --resume to begin one there`);
  const cells = cellsOf(config, clientsLimit);
  const unknown = only?.find((name) => !cells.some((cell) => cell.name === name));
  if (unknown !== undefined)
    throw new UserError(`there is no cell "${unknown}": got ${cells.map(({ name }) => name).join(', ')}`);
  const unlock = await lockDataDir(out);
  let engine: Engine | undefined;
  try {
    engine = await openEngine(config, { base, out, software });
    const data = await readExperimentData(config, { text: engine.text, open: options.open, onNotice });
    const record: ExperimentRecord = {
      config,
      clients_limit: clientsLimit,
      clients: takingPart(config, clientsLimit),
      cells: cells.map(({ name }) => name),
      data_sha256: data.sha256,
      train_rows: rowCount(data.train),
      held_out_rows: heldOutRows(data),
      overlapping_rows: data.overlappingRows,
      weights: engine.weights,
      ...(engine.start && { adapter_sha256: engine.start.sha256 }),
      device: await engine.device(),
      cotune: VERSION,
    };
    return await runCells(options, { cells, ...(await agreedRecord(out, record, onNotice)), data, engine });
  } finally {
    engine?.close();
    await unlock();
  }
}

interface Opened extends AgreedRecord {
  readonly cells: readonly Cell[];
  readonly data: ExperimentData;
  readonly engine: Engine;
}

async function runCells(options: ExperimentOptions, opened: Opened): Promise<ExperimentOutcome> {
  const { out, only, stop } = options;
  const { cells, record, identity } = opened;
  const dirOf = (cell: Cell) => join(out, cell.name);
  // All of them before the first is run, so that a foreign one is refused at once.
  const done = new Map<Cell, CellResult>();
  for (const cell of cells) {
    const result = await doneResult(dirOf(cell), cell, identity);
    if (result) done.set(cell, result);
  }
  const chosen = cells.filter((cell) => !done.has(cell) && (only === undefined || only.includes(cell.name)));
  const failed: { cell: string; reason: string }[] = [];
  for (const [place, cell] of chosen.entries()) {
    if (stop.aborted) break;
    options.onCell(cell, { index: cells.indexOf(cell), cells: cells.length });
    const stepsToCome = chosen.slice(place + 1).reduce((sum, { totalSteps }) => sum + totalSteps, 0);
    try {
      done.set(cell, await runCell(dirOf(cell), cell, cellWork(cell, { options, opened, stepsToCome })));
    } catch (error) {
      if (error instanceof StoppedError) break;
      if (!isCellsOwn(error)) throw error;
      failed.push({ cell: cell.name, reason: error.message });
    }
  }
  const left = cells.filter((one) => !done.has(one) && !failed.some(({ cell }) => cell === one.name));
  return {
    record,
    results: cells.flatMap((cell) => done.get(cell) ?? []),
    failed,
    left: left.map(({ name }) => name),
    stopped: stop.aborted,
  };
}

/** What a cell may come to by its settings, e.g. by diverging, while the next one does not. */
const isCellsOwn = (error: unknown): error is Error =>
  error instanceof FlError || error instanceof ModelError || error instanceof GpuError;

function cellWork(
  cell: Cell,
  of: { options: ExperimentOptions; opened: Opened; stepsToCome: number },
): Parameters<typeof runCell>[2] {
  const { options, opened, stepsToCome } = of;
  const { onJob } = options;
  let taken = 0;
  return {
    config: options.config,
    engine: opened.engine,
    data: opened.data,
    clients: opened.record.clients,
    identity: opened.identity,
    stop: options.stop,
    checkpointEveryMs: options.checkpointEveryMs ?? CHECKPOINT_EVERY_MS,
    onNotice: options.onNotice,
    onJob: onJob && ((job, rows) => onJob(cell, job, rows)),
    onProgress({ steps, rounds }) {
      taken = steps;
      options.onStep(cell, { steps, stepsToCome, round: rounds, lossNats: null });
    },
    onStep({ round, lossNats }) {
      taken += 1;
      options.onStep(cell, { steps: taken, stepsToCome, round, lossNats });
    },
  };
}

const heldOutRows = ({ heldOut }: ExperimentData): number =>
  heldOut === null ? 0 : heldOut.task === 'dpo' ? heldOut.pairs.length : heldOut.examples.length;
