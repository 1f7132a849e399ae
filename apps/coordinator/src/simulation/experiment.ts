import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { rowCount } from '@cotune/fl-core';
import { UserError } from '../cli/output.ts';
import { lockDataDir } from '../store/lock.ts';
import { type Cell, cellsOf, takingPart } from './cells.ts';
import type { ExperimentConfig } from './config.ts';
import { type ExperimentData, type OpenSource, readExperimentData } from './data.ts';
import { readIfThere, writeDurably } from './durable-files.ts';
import { type Engine, openEngine } from './engine.ts';
import { type CellResult, EXPERIMENT_FILE, type ExperimentRecord, experimentRecord } from './records.ts';
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
  onCell(cell: Cell, place: { readonly index: number; readonly cells: number; readonly done: boolean }): void;
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
 * UserError when the directory holds another experiment.
 */
export async function runExperiment(options: ExperimentOptions): Promise<ExperimentOutcome> {
  const { config, base, out, clientsLimit, only, software, resume, stop, onNotice } = options;
  if (resume && !existsSync(join(out, EXPERIMENT_FILE)))
    throw new UserError(`${out} holds no experiment to go on with: leave out --resume to begin one there`);
  const cells = cellsOf(config, clientsLimit);
  const unknown = only?.find((name) => !cells.some((cell) => cell.name === name));
  if (unknown !== undefined)
    throw new UserError(`there is no cell "${unknown}": got ${cells.map(({ name }) => name).join(', ')}`);
  const unlock = await lockDataDir(out);
  let engine: Engine | undefined;
  try {
    engine = await openEngine(config, { base, software });
    const data = await readExperimentData(config, { text: engine.text, open: options.open, onNotice });
    const record = await agreed(join(out, EXPERIMENT_FILE), onNotice, {
      config,
      clients_limit: clientsLimit,
      clients: takingPart(config, clientsLimit),
      cells: cells.map(({ name }) => name),
      data_sha256: data.sha256,
      train_rows: rowCount(data.train),
      held_out_rows: heldOutRows(data),
      weights: engine.weights,
      device: await engine.device(),
    });
    return await runCells({ ...options, cells, record, data, engine });
  } finally {
    engine?.close();
    await unlock();
  }

  async function runCells(all: {
    cells: readonly Cell[];
    record: ExperimentRecord;
    data: ExperimentData;
    engine: Engine;
  }): Promise<ExperimentOutcome> {
    const { record, data, engine } = all;
    const { onJob } = options;
    const results: CellResult[] = [];
    const failed: { cell: string; reason: string }[] = [];
    const left: string[] = [];
    const isDone = (cell: Cell) => existsSync(join(out, cell.name, 'result.json'));
    const chosen = (cell: Cell) => only === undefined || only.includes(cell.name);
    const open = new Set(all.cells.filter((cell) => chosen(cell) && !isDone(cell)));
    for (const [index, cell] of all.cells.entries()) {
      const dir = join(out, cell.name);
      const done = await doneResult(dir);
      if (done) results.push(done);
      if (done || !chosen(cell) || stop.aborted) {
        if (!done) left.push(cell.name);
        continue;
      }
      options.onCell(cell, { index, cells: all.cells.length, done: false });
      open.delete(cell);
      const stepsToCome = [...open].reduce((sum, { totalSteps }) => sum + totalSteps, 0);
      let taken = 0;
      try {
        const result = await runCell(dir, cell, {
          config,
          engine,
          data,
          clients: record.clients,
          stop,
          checkpointEveryMs: options.checkpointEveryMs ?? CHECKPOINT_EVERY_MS,
          onNotice,
          onJob: onJob && ((job, rows) => onJob(cell, job, rows)),
          onProgress({ steps, rounds }) {
            taken = steps;
            options.onStep(cell, { steps, stepsToCome, round: rounds, lossNats: null });
          },
          onStep({ round, lossNats }) {
            taken += 1;
            options.onStep(cell, { steps: taken, stepsToCome, round, lossNats });
          },
        });
        results.push(result);
      } catch (error) {
        if (error instanceof StoppedError || stop.aborted) left.push(cell.name);
        else failed.push({ cell: cell.name, reason: (error as Error).message });
      }
    }
    return { record, results, failed, left, stopped: stop.aborted };
  }
}

const heldOutRows = ({ heldOut }: ExperimentData): number =>
  heldOut === null ? 0 : heldOut.task === 'dpo' ? heldOut.pairs.length : heldOut.examples.length;

/** The record that the directory holds, or this one where it holds none. Throws UserError when they are of different experiments. */
async function agreed(
  path: string,
  onNotice: (message: string) => void,
  record: ExperimentRecord,
): Promise<ExperimentRecord> {
  const text = await readIfThere(path);
  if (text === undefined) {
    await writeDurably(path, `${JSON.stringify(record, null, 2)}\n`);
    return record;
  }
  const held = experimentRecord.safeParse(JSON.parse(text));
  if (!held.success) throw new UserError(`${path} is of another version of Cotune: choose another --out`);
  const { device, ...rest } = record;
  for (const name of Object.keys(rest) as (keyof typeof rest)[]) {
    const where = difference(held.data[name], rest[name], NAMES[name] ?? name);
    if (where) throw new UserError(`${path} is of another experiment (${where}): choose another --out, or remove it`);
  }
  if (held.data.device !== device)
    onNotice(`begun on ${held.data.device}, going on with ${device}: it may round in other ways`);
  return held.data;
}

const NAMES: Partial<Record<keyof ExperimentRecord, string>> = {
  config: 'configuration',
  clients_limit: '--clients-limit',
  data_sha256: 'the rows',
  weights: 'the model’s weights',
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
