import { existsSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { rowCount, type TrainingData } from '@cotune/fl-core';
import { adapterLayout } from '@cotune/kernels';
import { writePeft } from '../cli/export.ts';
import { UserError } from '../cli/output.ts';
import type { Cell } from './cells.ts';
import type { ExperimentConfig } from './config.ts';
import { dealRows, type ExperimentData, selectData } from './data.ts';
import { readIfThere, writeDirectoryDurably, writeDurably } from './durable-files.ts';
import type { Engine } from './engine.ts';
import { requireSame } from './experiment-record.ts';
import { federate } from './federate.ts';
import type { Federation } from './federation.ts';
import { finalFigures } from './final-figures.ts';
import { type CellResult, cellResult, IDENTITY_FILE, METRICS_FILE, RESULT_FILE, STATE_DIRECTORY } from './records.ts';
import { clientSteps, keptRounds, roundRecords } from './round-records.ts';
import { parseWritten } from './written-json.ts';

export interface CellWork extends Pick<Federation, 'stop' | 'checkpointEveryMs' | 'onNotice' | 'onStep' | 'onJob'> {
  readonly config: ExperimentConfig;
  readonly engine: Engine;
  readonly data: ExperimentData;
  /** Clients that take part: the first so many. */
  readonly clients: number;
  /** The experiment's, kept with what the cell writes. */
  readonly identity: string;
  /** Steps of this cell that need not be taken any more, told when it begins, and its rounds. */
  onProgress(done: { readonly steps: number; readonly rounds: number }): void;
}

/**
 * The result of a cell that is done; undefined while it is not. Throws UserError when it, or what a cell under way left, is
 * of another experiment, or damaged.
 */
export async function doneResult(
  dir: string,
  { totalSteps }: Pick<Cell, 'totalSteps'>,
  identity: string,
): Promise<CellResult | undefined> {
  const path = join(dir, RESULT_FILE);
  const state = join(dir, STATE_DIRECTORY);
  const text = await readIfThere(path);
  if (text === undefined) {
    if (await isBegun(state)) requireSame(dir, await readIfThere(join(state, IDENTITY_FILE)), identity);
    return undefined;
  }
  const result = parseWritten(path, text, cellResult);
  requireSame(dir, result.experiment_sha256, identity);
  const steps = result.client_steps.reduce((sum, one) => sum + one, 0);
  if (steps > totalSteps)
    throw new UserError(
      `${path} has ${steps} optimiser steps, expected at most ${totalSteps}: an earlier version of Cotune trained it by other rules; remove ${dir} to run the cell anew`,
    );
  await rm(state, { recursive: true, force: true }); // a kill may have come in between
  return result;
}

/** Runs a cell to its end in `dir`, or goes on with it, and writes its metrics, adapter and result. */
export async function runCell(dir: string, cell: Cell, work: CellWork): Promise<CellResult> {
  const { engine, data, config, stop, checkpointEveryMs, onNotice, onStep, onJob } = work;
  const { start } = engine;
  const clients = clientsData(cell, work);
  const layout = adapterLayout(engine.source.config, engine.lora);
  const metricsFile = join(dir, METRICS_FILE);
  let writing: Promise<unknown> = Promise.resolve();
  const writeMetrics = (records: readonly object[]) => {
    const text = records.map((record) => `${JSON.stringify(record)}\n`).join('');
    writing = writing.then(() => writeDurably(metricsFile, text));
    writing.catch(() => undefined); // awaited below
  };
  const stateDir = join(dir, STATE_DIRECTORY);
  await writeStateIdentity(stateDir, work.identity);
  const federated = await federate({
    dir: stateDir,
    run: start ? { ...cell.run, startAdapter: start.sha256 } : cell.run,
    clients,
    engine,
    heldOut: data.heldOut,
    stop,
    checkpointEveryMs,
    onNotice,
    onStep,
    onJob,
    onProgress(now, start) {
      writeMetrics(roundRecords(now, start, layout.length));
      const updates = [...now.history.flatMap(({ received }) => received), ...(now.current?.updates ?? [])].length;
      work.onProgress({ steps: updates * cell.run.steps, rounds: now.round });
    },
  });
  const { state, startSha256, vector } = federated;
  const { heldOut } = data;
  const records = roundRecords(state, startSha256, layout.length);
  writeMetrics(records);
  await writing;
  await writeDirectoryDurably(join(dir, 'adapter'), async (temporary) => {
    await writePeft(temporary, layout, vector, config.model);
    return ['adapter_model.safetensors', 'adapter_config.json'];
  });
  const result: CellResult = {
    cell: cell.name,
    kind: cell.kind,
    algorithm: cell.algorithm,
    seed: cell.seed,
    client: cell.client,
    rounds: cell.run.rounds,
    steps: cell.run.steps,
    examples: clients.map(rowCount),
    untuned: state.baseline,
    held_out: heldOut && (await finalFigures(federated, (vector) => engine.evaluate(vector, heldOut))),
    adapter_sha256: state.adapter?.sha256 ?? '',
    client_steps: clientSteps(state),
    ...keptRounds(records),
    experiment_sha256: work.identity,
    seconds: records.reduce((sum, { seconds }) => sum + seconds, 0),
  };
  await writeDurably(join(dir, RESULT_FILE), `${JSON.stringify(result, null, 2)}\n`);
  await rm(stateDir, { recursive: true, force: true });
  return result;
}

/** Whether there is more than the beginning of the identity, at which a kill may have come. */
const isBegun = async (stateDir: string): Promise<boolean> =>
  existsSync(stateDir) && (await readdir(stateDir)).some((name) => name !== `${IDENTITY_FILE}.part`);

/** Before anything else is in the directory, so that a kill leaves nothing that nobody knows. */
async function writeStateIdentity(stateDir: string, identity: string): Promise<void> {
  const path = join(stateDir, IDENTITY_FILE);
  if ((await readIfThere(path)) === undefined) await writeDurably(path, identity);
}

/** What the participants of the cell's run hold: everybody's rows in one hand when pooled. */
function clientsData(cell: Cell, { config, data, clients }: CellWork): TrainingData[] {
  const dealt = dealRows(data, config, cell.seed).slice(0, clients);
  const hands = cell.kind === 'pooled' ? [dealt.flat()] : dealt;
  return hands.map((rows) => selectData(data.train, rows));
}
