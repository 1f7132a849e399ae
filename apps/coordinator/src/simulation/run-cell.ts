import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { rowCount, type TrainingData } from '@cotune/fl-core';
import { adapterLayout } from '@cotune/kernels';
import { writePeft } from '../cli/export.ts';
import type { Cell } from './cells.ts';
import type { ExperimentConfig } from './config.ts';
import { dealRows, type ExperimentData, selectData } from './data.ts';
import { readIfThere, writeDirectoryDurably, writeDurably } from './durable-files.ts';
import type { Engine } from './engine.ts';
import { type Federation, federate } from './federate.ts';
import { type CellResult, cellResult, METRICS_FILE, RESULT_FILE } from './records.ts';
import { roundRecords } from './round-records.ts';

export interface CellWork extends Pick<Federation, 'stop' | 'checkpointEveryMs' | 'onNotice' | 'onStep' | 'onJob'> {
  readonly config: ExperimentConfig;
  readonly engine: Engine;
  readonly data: ExperimentData;
  /** Clients that take part: the first so many. */
  readonly clients: number;
  /** Steps of this cell that need not be taken any more, told when it begins, and its rounds. */
  onProgress(done: { readonly steps: number; readonly rounds: number }): void;
}

/** What is resumed from; removed once the cell is done. */
const STATE_DIRECTORY = 'state';

/** The result of a cell that is done; undefined while it is not. */
export async function doneResult(dir: string): Promise<CellResult | undefined> {
  const text = await readIfThere(join(dir, RESULT_FILE));
  if (text === undefined) return undefined;
  await rm(join(dir, STATE_DIRECTORY), { recursive: true, force: true }); // a kill may have come in between
  return cellResult.parse(JSON.parse(text));
}

/** Runs a cell to its end in `dir`, or goes on with it, and writes its metrics, adapter and result. */
export async function runCell(dir: string, cell: Cell, work: CellWork): Promise<CellResult> {
  const { engine, data, config, stop, checkpointEveryMs, onNotice, onStep, onJob } = work;
  const clients = clientsData(cell, work);
  const layout = adapterLayout(engine.source.config, engine.lora);
  const metricsFile = join(dir, METRICS_FILE);
  let writing: Promise<unknown> = Promise.resolve();
  const writeMetrics = (records: readonly object[]) => {
    const text = records.map((record) => `${JSON.stringify(record)}\n`).join('');
    writing = writing.then(() => writeDurably(metricsFile, text));
    writing.catch(() => undefined); // awaited below
  };
  const { state, startSha256, vector } = await federate({
    dir: join(dir, STATE_DIRECTORY),
    run: cell.run,
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
    held_out: state.history.at(-1)?.evaluation ?? null,
    adapter_sha256: state.adapter?.sha256 ?? '',
    seconds: records.reduce((sum, { seconds }) => sum + seconds, 0),
  };
  await writeDurably(join(dir, RESULT_FILE), `${JSON.stringify(result, null, 2)}\n`);
  await rm(join(dir, STATE_DIRECTORY), { recursive: true, force: true });
  return result;
}

/** What the participants of the cell's run hold: everybody's rows in one hand when pooled. */
function clientsData(cell: Cell, { config, data, clients }: CellWork): TrainingData[] {
  const dealt = dealRows(data, config, cell.seed).slice(0, clients);
  const hands = cell.kind === 'pooled' ? [dealt.flat()] : dealt;
  return hands.map((rows) => selectData(data.train, rows));
}
