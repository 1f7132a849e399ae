import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { FlError } from '@cotune/fl-core';
import type { RunConfig } from '@cotune/fl-core/protocol';
import { quantizeModel } from '@cotune/kernels';
import { directorySink, directorySource } from '@cotune/kernels/node';
import { Command } from 'commander';
import { type Coordinator, startCoordinator } from '../coordinator.ts';
import { assets, DEMO_MODEL_ID } from '../demo/assets.ts';
import type { HeldOutFile } from '../evaluator/held-out.ts';
import { countRows } from '../evaluator/row-counts.ts';
import { createLog } from '../log.ts';
import { type Columns, columnMap, MAP_HELP } from './column-map.ts';
import { requireDirectory } from './model.ts';
import { type Offered, offeredIds } from './offered-ids.ts';
import { collect, integer } from './options.ts';
import { note, progressBar, UserError } from './output.ts';
import { runLines } from './run-lines.ts';
import { readRunSettings } from './run-settings.ts';
import { requireWritable } from './write-files.ts';

interface ServeOptions {
  port: number;
  host: string;
  dataDir: string;
  demo?: boolean;
  model?: string[];
  evaluation?: string[];
  map?: Columns;
  run?: string;
  adapter?: string;
  newOwnerLink?: boolean;
}

/** `cotune serve`: the coordinator and the web app. */
export function serveCommand(): Command {
  return new Command('serve')
    .description('run the coordinator and the web app')
    .option('--port <port>', 'port to listen on', integer(0, 65535), 7400)
    .option('--host <host>', 'address to listen on', '127.0.0.1')
    .option('--data-dir <dir>', 'database and blobs; a restart on it goes on with the runs', '.cotune/data')
    .option('--demo', 'offer the embedded demo model and data')
    .option(
      '--model <dir>',
      'a model directory (or Hugging Face directory, quantised first) to offer; repeat for several',
      collect,
    )
    .option(
      '--evaluation <file>',
      'held-out rows, or preference pairs for dpo runs, to evaluate rounds on; its id is the file’s name; repeat for several',
      collect,
    )
    .option('--map <columns>', `of every --evaluation file, ${MAP_HELP}`, columnMap)
    .option(
      '--run <file>',
      'JSON settings of a run to create, open and print the join link of (once per data directory)',
    )
    .option(
      '--adapter <path>',
      'PEFT directory, or the adapter_model.safetensors in it, that the --run starts from: same model, same "lora"',
    )
    .option('--new-owner-link', 'replace the owner’s token, ending every admin session')
    .action(async (options: ServeOptions) => {
      const settings = options.run === undefined ? undefined : await readRunSettings(options.run);
      if (options.adapter !== undefined && !settings)
        throw new UserError('--adapter goes with --run, whose run starts from it');
      const coordinator = await start(options);
      note(`Cotune is at ${coordinator.url}`);
      if (coordinator.ownerUrl) note(`admin console (one-time owner link): ${coordinator.ownerUrl}`);
      else note('admin console: log in with the owner link of the first start, or get another with --new-owner-link');
      coordinator.subscribe(runLines(note));
      if (settings)
        note(`join link: ${await openRun(coordinator, await startingFrom(coordinator, settings, options))}`);
      await stopped();
      note('closing');
      await coordinator.close();
    });
}

async function start(options: ServeOptions): Promise<Coordinator> {
  await requireWritable(options.dataDir);
  const demo = options.demo ? { [DEMO_MODEL_ID]: 'the one of --demo' } : {};
  const directories = offeredIds('--model', options.model ?? [], demo);
  const files = offeredIds('--evaluation', options.evaluation ?? [], demo);
  const models = [];
  for (const offered of directories) models.push(await offeredModel(offered, options.dataDir));
  const evaluations = [];
  for (const offered of files) evaluations.push(await heldOutFile(offered, options.map));
  return startCoordinator({
    dataDir: options.dataDir,
    port: options.port,
    host: options.host,
    demo: options.demo ?? false,
    newOwnerToken: options.newOwnerLink ?? false,
    models,
    evaluations,
    webDir: assets.web(),
    log: createLog('info'),
  });
}

/** A model directory as it is; a Hugging Face one is quantised into the data directory first. */
async function offeredModel(
  { id, title, path: dir }: Offered,
  dataDir: string,
): Promise<{ id: string; title: string; dir: string }> {
  await requireDirectory(dir);
  if (existsSync(join(dir, 'model.json'))) return { id, title, dir };
  const out = join(dataDir, 'models', id);
  if (!existsSync(join(out, 'model.json'))) {
    const bar = progressBar(`quantising ${title}`);
    await quantizeModel(directorySource(dir), directorySink(out), {
      dtype: 'int8',
      resume: directorySource(out),
      onProgress: bar.transfer,
    });
    bar.end();
  }
  return { id, title, dir: out };
}

/** The run's settings with what --adapter gives. A coordinator that cannot take it is closed. */
async function startingFrom(
  coordinator: Coordinator,
  settings: RunConfig,
  { adapter }: Pick<ServeOptions, 'adapter'>,
): Promise<RunConfig> {
  if (adapter === undefined) return settings;
  try {
    const directory = adapter.endsWith('.safetensors') ? dirname(adapter) : adapter;
    await requireDirectory(directory);
    return { ...settings, startAdapter: await coordinator.addStartAdapter(directorySource(directory), settings) };
  } catch (error) {
    await coordinator.close();
    throw error instanceof FlError ? new UserError(`${adapter}: ${error.message}`) : error;
  }
}

/** Creates and opens a run, or finds it again by its name. Returns a join link. */
async function openRun(coordinator: Coordinator, config: RunConfig): Promise<string> {
  const { runs } = await coordinator.adminCall('runs:list', {});
  const existing = runs.find((run) => run.config.name === config.name);
  const run = existing ?? (await coordinator.adminCall('run:create', { requestId: crypto.randomUUID(), config })).run;
  if (run.phase === 'draft')
    await coordinator.adminCall('run:open', { requestId: crypto.randomUUID(), runId: run.runId });
  return coordinator.createInvitation(run.runId);
}

/** A held-out file, once it is known to have rows. */
async function heldOutFile({ id, title, path: file }: Offered, mapping: Columns | undefined): Promise<HeldOutFile> {
  if (!existsSync(file)) throw new UserError(`no such file: ${file}`);
  const { sft, dpo } = await countRows({ file, mapping });
  if (sft === 0 && dpo === 0) throw new UserError(`no usable row or preference pair to evaluate on in ${file}`);
  return { id, title, file: resolve(file), mapping };
}

/** Resolves at the first SIGINT or SIGTERM; a second one ends the process at once. */
export function stopped(): Promise<void> {
  return new Promise((resolve) => {
    let asked = false;
    const stop = () => {
      if (asked) process.exit(130);
      asked = true;
      resolve();
    };
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, stop);
  });
}
