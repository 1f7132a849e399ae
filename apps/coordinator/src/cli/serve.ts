import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { runConfig } from '@cotune/fl-core/protocol';
import { quantizeModel } from '@cotune/kernels';
import { directorySink, directorySource } from '@cotune/kernels/node';
import { Command } from 'commander';
import { type Coordinator, startCoordinator } from '../coordinator.ts';
import { assets } from '../demo/assets.ts';
import { createLog } from '../log.ts';
import { requireDirectory } from './model.ts';
import { collect, integer } from './options.ts';
import { note, progressBar, UserError } from './output.ts';
import { runLines } from './run-lines.ts';

interface ServeOptions {
  port: number;
  host: string;
  dataDir: string;
  demo?: boolean;
  model?: string[];
  evaluation?: string[];
  run?: string;
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
      'held-out data to evaluate rounds on; its id is the file’s name; repeat for several',
      collect,
    )
    .option(
      '--run <file>',
      'JSON settings of a run to create, open and print the join link of (once per data directory)',
    )
    .option('--new-owner-link', 'replace the owner’s token, ending every admin session')
    .action(async (options: ServeOptions) => {
      const coordinator = await start(options);
      note(`Cotune is at ${coordinator.url}`);
      if (coordinator.ownerUrl) note(`admin console (one-time owner link): ${coordinator.ownerUrl}`);
      coordinator.subscribe(runLines(note));
      if (options.run) note(`join link: ${await openRun(coordinator, options.run)}`);
      await stopped();
      note('closing');
      await coordinator.close();
    });
}

async function start(options: ServeOptions): Promise<Coordinator> {
  const models = [];
  for (const dir of options.model ?? []) models.push(await offeredModel(dir, options.dataDir));
  const evaluations = (options.evaluation ?? []).map((file) => {
    if (!existsSync(file)) throw new UserError(`no such file: ${file}`);
    return { id: slug(basename(file)), title: basename(file), file: resolve(file) };
  });
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
async function offeredModel(dir: string, dataDir: string): Promise<{ id: string; title: string; dir: string }> {
  await requireDirectory(dir);
  const title = basename(resolve(dir));
  const id = slug(title);
  if (existsSync(join(dir, 'model.json'))) return { id, title, dir };
  const out = join(dataDir, 'models', id);
  if (!existsSync(join(out, 'model.json'))) {
    const bar = progressBar(`quantising ${title}`);
    await quantizeModel(directorySource(dir), directorySink(out), {
      dtype: 'int8',
      onProgress: ({ bytesDone, bytesTotal }) => bar.update(bytesDone, bytesTotal),
    });
    bar.end();
  }
  return { id, title, dir: out };
}

/** Creates and opens the run of a settings file, or finds it again by its name. Returns a join link. */
async function openRun(coordinator: Coordinator, file: string): Promise<string> {
  let settings: unknown;
  try {
    settings = JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) throw new UserError(`${file} is not JSON: ${error.message}`);
    throw error;
  }
  const parsed = runConfig.safeParse(settings);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new UserError(`${file}: ${issue?.path.join('.') || 'settings'}: ${issue?.message}`);
  }
  const { runs } = await coordinator.adminCall('runs:list', {});
  const existing = runs.find((run) => run.config.name === parsed.data.name);
  const run =
    existing ??
    (await coordinator.adminCall('run:create', { requestId: crypto.randomUUID(), config: parsed.data })).run;
  if (run.phase === 'draft')
    await coordinator.adminCall('run:open', { requestId: crypto.randomUUID(), runId: run.runId });
  return coordinator.createInvitation(run.runId);
}

function slug(name: string): string {
  return name
    .toLowerCase()
    .replace(/\.[a-z0-9]+$/, '')
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');
}

/** Resolves at SIGINT or SIGTERM. */
export function stopped(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
}
