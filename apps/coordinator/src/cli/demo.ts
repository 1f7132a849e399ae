import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AdminEvent, RunConfig, RunView } from '@cotune/fl-core/protocol';
import { Command } from 'commander';
import { type Coordinator, startCoordinator } from '../coordinator.ts';
import { assets, DEMO_PARTICIPANTS } from '../demo/assets.ts';
import { localBaseline } from '../demo/local-baseline.ts';
import {
  type DemoParticipants,
  findChromium,
  openTabs,
  type Stage,
  spawnNodeParticipants,
} from '../demo/participants.ts';
import { demoRunConfig } from '../demo/run-config.ts';
import { createLog } from '../log.ts';
import { openGpuFor } from './model.ts';
import { integer, oneOf } from './options.ts';
import { formatDuration, note, progressBar, UserError } from './output.ts';
import { runLines } from './run-lines.ts';
import { stopped } from './serve.ts';

interface DemoOptions {
  participants?: 'node' | 'tabs';
  seed: number;
  port: number;
  exit?: boolean;
  json?: boolean;
}

/** `cotune demo`: a whole federated run with the embedded model and data, from join to evaluation. */
export function demoCommand(): Command {
  return new Command('demo')
    .description('carry a federated run with the embedded model through, with real participants')
    .option(
      '--participants <kind>',
      'tabs (headless Chromium) or node; tabs where a browser is found',
      oneOf(['node', 'tabs']),
    )
    .option('--seed <n>', 'seed of the run', integer(0), 1)
    .option('--port <port>', 'port of the coordinator', integer(0, 65535), 7400)
    .option('--exit', 'end when the run is evaluated instead of leaving the dashboard running')
    .option('--json', 'end with one JSON line')
    .action(runDemo);
}

async function runDemo(options: DemoOptions): Promise<void> {
  const startedAtMs = Date.now();
  const interrupted = stopped();
  const directory = await mkdtemp(join(tmpdir(), 'cotune-demo-'));
  let coordinator: Coordinator | undefined;
  let participants: DemoParticipants | undefined;
  /** Work that Ctrl-C cuts short; what was opened is closed all the same. */
  const unlessInterrupted = async <T>(work: Promise<T>): Promise<T> =>
    Promise.race([work, interrupted.then(() => Promise.reject(new UserError('stopped before the end')))]);
  try {
    coordinator = await startCoordinator({
      dataDir: join(directory, 'data'),
      port: options.port,
      demo: true,
      webDir: assets.web(),
      log: createLog('warn'),
    });
    note(`dashboard: ${coordinator.ownerUrl ?? coordinator.url}`);
    const config = demoRunConfig({ seed: options.seed });
    const { run } = await coordinator.adminCall('run:create', { requestId: crypto.randomUUID(), config });
    await coordinator.adminCall('run:open', { requestId: crypto.randomUUID(), runId: run.runId });
    const finished = followRun(coordinator, run.runId, config);
    const joinUrl = await coordinator.createInvitation(run.runId);
    const stage = { joinUrl, count: DEMO_PARTICIPANTS, joined: whenJoined(coordinator, run.runId) };
    participants = await openParticipants(options, stage, directory);
    const view = await unlessInterrupted(Promise.race([finished, participants.failed]));
    await participants.close();
    const locals = await unlessInterrupted(trainLocals(config));
    report(options, view, locals, (Date.now() - startedAtMs) / 1000);
    if (!options.exit) {
      note(`the dashboard stays at ${coordinator.url}; press Ctrl-C to end`);
      await interrupted;
    }
  } finally {
    await participants?.close();
    await coordinator?.close();
    await rm(directory, { recursive: true, force: true });
  }
}

async function openParticipants(options: DemoOptions, stage: Stage, directory: string): Promise<DemoParticipants> {
  const chromium = findChromium();
  const kind = options.participants ?? (chromium ? 'tabs' : 'node');
  if (kind === 'node') {
    note(`opening ${DEMO_PARTICIPANTS} Node participants`);
    return spawnNodeParticipants(stage, directory);
  }
  if (!chromium) throw new UserError('no Chromium or Chrome found: set COTUNE_CHROMIUM, or use --participants node');
  note(`opening ${DEMO_PARTICIPANTS} headless browser tabs`);
  const probe = await openGpuFor(0, true);
  const software = probe.adapter.kind !== 'hardware';
  probe.destroy();
  return openTabs(chromium, stage, software);
}

/** Resolves, by the number asked for, when so many participants have joined the run. */
function whenJoined(coordinator: Coordinator, runId: string): (count: number) => Promise<void> {
  let here = 0;
  let waiting: { count: number; resolve: () => void }[] = [];
  coordinator.subscribe((event) => {
    if (event.type !== 'run' || event.run.runId !== runId) return;
    here = event.run.participants;
    for (const one of waiting) if (here >= one.count) one.resolve();
    waiting = waiting.filter((one) => here < one.count);
  });
  return (count) => new Promise((resolve) => (here >= count ? resolve() : waiting.push({ count, resolve })));
}

/** Shows rounds as they go; resolves with the finished run. */
function followRun(coordinator: Coordinator, runId: string, config: RunConfig): Promise<RunView> {
  return new Promise((resolve, reject) => {
    const stepOf = new Map<string, number>();
    let round = -1;
    let bar = progressBar('joining');
    const lines = runLines((line) => {
      bar.end();
      note(line);
    });
    coordinator.subscribe((event: AdminEvent) => {
      lines(event);
      if (event.type === 'run' && event.run.runId === runId) {
        const { phase, reason } = event.run;
        if (phase === 'finished') resolve(event.run);
        if (phase === 'aborted' || phase === 'failed')
          reject(new UserError(`the run was ${phase}: ${reason ?? 'no reason given'}`));
      }
      if (event.type !== 'progress' || event.progress.runId !== runId) return;
      if (event.progress.round !== round) {
        round = event.progress.round;
        stepOf.clear();
        bar = progressBar(`round ${round + 1}/${config.rounds}`);
      }
      stepOf.set(event.participantId, event.progress.step);
      const done = [...stepOf.values()].reduce((sum, step) => sum + step, 0);
      bar.update(done, config.steps * DEMO_PARTICIPANTS, `loss ${event.progress.lossNats.toFixed(3)}`);
    });
  });
}

/** Mean accuracy of training alone on each participant's rows, on this machine. */
async function trainLocals(config: RunConfig): Promise<number> {
  const bar = progressBar('training alone, for comparison');
  const metrics = await localBaseline(config, bar.update);
  bar.end();
  return metrics.reduce((sum, one) => sum + one.accuracy, 0) / metrics.length;
}

function report(options: DemoOptions, view: RunView, accuracyLocalMean: number, seconds: number): void {
  const after = view.rounds.at(-1)?.evaluation;
  if (!view.baseline || !after) throw new Error('the run ended without an evaluation');
  const result = {
    rounds: view.rounds.length,
    participants: new Set(view.rounds.flatMap((round) => round.received.map((update) => update.participantId))).size,
    loss_before: view.baseline.lossNats,
    loss_after: after.lossNats,
    accuracy_before: view.baseline.accuracy,
    accuracy_after: after.accuracy,
    accuracy_local_mean: accuracyLocalMean,
    adapter_sha256: view.adapter?.sha256 ?? null,
    seconds: Math.round(seconds * 10) / 10,
  };
  note(
    `accuracy ${percent(result.accuracy_before)} before, ${percent(accuracyLocalMean)} alone (mean), ` +
      `${percent(result.accuracy_after)} together; ${formatDuration(seconds * 1000)}`,
  );
  if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`);
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
