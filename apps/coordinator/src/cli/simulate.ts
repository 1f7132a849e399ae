import { readFile } from 'node:fs/promises';
import { basename, dirname, extname, join, resolve } from 'node:path';
import { Command } from 'commander';
import { openDataSource } from '../data-source/open.ts';
import { type ExperimentConfig, parseExperiment } from '../simulation/config.ts';
import { type ExperimentOutcome, runExperiment } from '../simulation/experiment.ts';
import { EXPERIMENT_FILE, hasDiverged } from '../simulation/records.ts';
import { keptLines, resultTable } from '../simulation/result-table.ts';
import { orderWriter } from '../simulation/write-order.ts';
import { integer } from './options.ts';
import { formatDuration, note, printResult, progressBar, UserError } from './output.ts';
import { requireWritable } from './write-files.ts';

interface SimulateOptions {
  out?: string;
  resume?: boolean;
  clientsLimit?: number;
  only?: string[];
  writeOrder?: string;
  software?: boolean;
  json?: boolean;
}

/** `cotune simulate`: a whole federation on this device. */
export function simulateCommand(): Command {
  return new Command('simulate')
    .description('run an experiment of federations and baselines on this machine, client after client')
    .argument('<config>', 'experiment: JSON, described in docs/simulation.md')
    .option('--out <dir>', 'directory of the results (default: the configuration’s name under ./simulations)')
    .option('--resume', 'go on; fails where nothing was begun. Without it the command goes on, too, or begins')
    .option('--clients-limit <n>', 'let only the first so many clients take part', integer(1))
    .option('--only <cell...>', 'run only these cells, e.g. fedavg-seed1')
    .option(
      '--write-order <dir>',
      'write the rows of every training in the order in which they were taken, as token rows',
    )
    .option('--software', 'allow a software adapter for a large model')
    .option('--json', 'print one JSON object at the end')
    .action(runSimulate);
}

async function runSimulate(file: string, options: SimulateOptions): Promise<void> {
  const config = await readExperiment(file);
  const out = options.out ?? join('simulations', basename(file, extname(file)));
  await requireWritable(out);
  const abort = new AbortController();
  const interrupt = () => {
    if (abort.signal.aborted) process.exit(130);
    note('\nstopping after this step; press Ctrl-C again to leave at once');
    abort.abort();
  };
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  const show = progress();
  const running = runExperiment({
    config,
    base: dirname(resolve(file)),
    out,
    clientsLimit: options.clientsLimit ?? null,
    only: options.only,
    software: options.software ?? false,
    resume: options.resume ?? false,
    stop: abort.signal,
    open: (from) => openDataSource(from, dirname(resolve(file))),
    onNotice: note,
    onCell: show.cell,
    onStep: show.step,
    onJob: options.writeOrder === undefined ? undefined : orderWriter(options.writeOrder),
  });
  const outcome = await running.finally(() => show.end());
  conclude(outcome, { file, out, options });
}

async function readExperiment(file: string): Promise<ExperimentConfig> {
  let settings: unknown;
  try {
    settings = JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) throw new UserError(`${file} is not JSON: ${error.message}`);
    throw error;
  }
  const parsed = parseExperiment(settings);
  if (!parsed.ok) throw new UserError(`${file}: ${parsed.message}`);
  return parsed.config;
}

/** A bar for each cell, with the time left for the whole experiment. */
function progress() {
  let bar = progressBar('simulation');
  let shown: string | undefined;
  let loss = '';
  const pace = { startedMs: 0, doneSteps: 0, firstSteps: 0, before: 0 };
  return {
    cell(cell: { name: string }, { index, cells }: { index: number; cells: number }) {
      bar.end();
      pace.before += pace.doneSteps - pace.firstSteps;
      pace.firstSteps = Number.NaN;
      pace.doneSteps = Number.NaN;
      shown = cell.name;
      loss = '';
      bar = progressBar(`cell ${index + 1} of ${cells}, ${cell.name}`);
      if (!process.stderr.isTTY) note(`cell ${index + 1} of ${cells}, ${cell.name}`);
    },
    step(
      cell: { name: string; totalSteps: number; run: { rounds: number } },
      record: { steps: number; stepsToCome: number; round: number; lossNats: number | null },
    ) {
      if (cell.name !== shown) return;
      if (pace.startedMs === 0) pace.startedMs = performance.now();
      if (Number.isNaN(pace.firstSteps)) pace.firstSteps = record.steps;
      pace.doneSteps = record.steps;
      if (record.lossNats !== null) loss = `, loss ${record.lossNats.toFixed(4)}`;
      const done = pace.before + pace.doneSteps - pace.firstSteps;
      const perStep = (performance.now() - pace.startedMs) / 1000 / Math.max(1, done);
      const left = done > 3 ? perStep * (cell.totalSteps - record.steps + record.stepsToCome) : null;
      const round = Math.min(record.round + 1, cell.run.rounds);
      bar.update(record.steps, cell.totalSteps, `round ${round} of ${cell.run.rounds}${loss}`, left);
    },
    end: () => bar.end(),
  };
}

/** What was asked for besides, and must be asked for again. */
function flagsOf({ clientsLimit, only, writeOrder, software }: SimulateOptions): string {
  const flags = [
    clientsLimit === undefined ? [] : ['--clients-limit', String(clientsLimit)],
    only === undefined ? [] : ['--only', ...only],
    writeOrder === undefined ? [] : ['--write-order', writeOrder],
    software ? ['--software'] : [],
  ];
  return flags
    .flat()
    .map((flag) => ` ${flag}`)
    .join('');
}

function conclude(
  { record, results, failed, left, stopped }: ExperimentOutcome,
  { file, out, options }: { file: string; out: string; options: SimulateOptions },
): void {
  for (const { cell, reason } of failed) note(`${cell} failed: ${reason}`);
  for (const line of keptLines(results)) note(line);
  const diverged = results.filter(hasDiverged).map(({ cell }) => cell);
  if (stopped) {
    note(`stopped with ${left.length} of ${record.cells.length} cells left; go on with:`);
    note(`  cotune simulate ${file} --out ${out}${flagsOf(options)} --resume`);
  }
  const seconds = results.reduce((sum, result) => sum + result.seconds, 0);
  printResult(options.json, { out, name: record.config.name, results, failed, diverged, left, seconds }, () =>
    [
      resultTable(results),
      `${results.length} of ${record.cells.length} cells in ${formatDuration(seconds * 1000)}; ${join(out, EXPERIMENT_FILE)}`,
    ].join('\n'),
  );
  if (stopped) process.exitCode = 130;
  else if (failed.length + diverged.length > 0) process.exitCode = 1;
}
