import { createHash } from 'node:crypto';
import { hostname } from 'node:os';
import { join } from 'node:path';
import {
  algorithmOf,
  createParticipant,
  FlError,
  localTerms,
  type Rewards,
  rowCount,
  storageSlot,
} from '@cotune/fl-core';
import { clientInfo, isOver, type ModelRef, modelRef, type RunView, runView } from '@cotune/fl-core/protocol';
import { adapterLayout, createTrainerHost, openModelDirectory } from '@cotune/kernels';
import { directorySource, fileTuningStore } from '@cotune/kernels/node';
import { Command, InvalidArgumentError } from 'commander';
import { z } from 'zod';
import { requireDataSource } from '../data-source/open.ts';
import { connectParticipant, drive } from '../participant/connect.ts';
import { taskTrainer } from '../participant/local-trainer.ts';
import { cacheModel } from '../participant/model-cache.ts';
import { openModelText } from '../participant/model-text.ts';
import { fileStorage } from '../participant/storage.ts';
import { socketTransport } from '../participant/transport.ts';
import { type Columns, columnMap, MAP_HELP } from './column-map.ts';
import { loadTrainingData } from './data.ts';
import { loadOnGpu, openGpuFor } from './model.ts';
import { collect, integer, STATE_DIRECTORY } from './options.ts';
import { formatBytes, note, printResult, progressBar, UserError } from './output.ts';
import { DATA_SOURCES } from './row-files.ts';
import { jsonLog, requireWritable } from './write-files.ts';

interface JoinOptions {
  data: string[];
  map?: Columns;
  name: string;
  rounds?: number;
  stateDir: string;
  log?: string;
  software?: boolean;
  json?: boolean;
}

/** `cotune join`: a participant without a browser, same protocol as the tab. */
export function joinCommand(): Command {
  return new Command('join')
    .description('take part in a run with this machine’s GPU and your own data; only adapter updates leave')
    .argument('<url>', 'the join link, http://…/join/TOKEN')
    .requiredOption(
      '--data <source>',
      `training data, or for a dpo run preference pairs: ${DATA_SOURCES}; repeat for several`,
      collect,
    )
    .option('--map <columns>', MAP_HELP, columnMap)
    .option('--name <name>', 'how the operator sees this participant', participantName, hostname().slice(0, 80))
    .option('--rounds <n>', 'leave after this many accepted updates', integer(1))
    .option('--state-dir <dir>', 'resume tokens, unsent updates, cached models', STATE_DIRECTORY)
    .option(
      '--log <file>',
      'JSONL, appended to: a row a training step; a round gone on with after a restart tells its steps again',
    )
    .option('--software', 'allow a software adapter for a large model')
    .option('--json', 'print one JSON object at the end')
    .action(runJoin);
}

async function runJoin(link: string, options: JoinOptions): Promise<void> {
  const { origin, token } = parseJoinLink(link);
  const { run, model: offered } = await fetchRun(origin, token);
  note(
    `run "${run.config.name}": ${TASKS[run.config.task]} with ${run.config.algorithm.id}, ${run.config.rounds} rounds of ${run.config.steps} steps on ${offered.title}`,
  );

  const stateId = createHash('sha256').update(`${origin} ${run.runId} ${options.name}`).digest('hex').slice(0, 24);
  const storage = fileStorage(join(options.stateDir, 'participants', stateId));
  let resumeToken = new TextDecoder().decode(await storage.get('resume-token')) || undefined;
  if (isOver(run)) {
    // Somebody who took part may ask again how it ended.
    if (run.phase === 'finished' && resumeToken) return printEnd(options, run, { accepted: 0, stopped: false });
    throw new UserError(`this run is ${run.phase}${run.reason ? ` (${run.reason})` : ''}: nobody can join it any more`);
  }
  for (const from of options.data) await requireDataSource(from, process.cwd());
  await requireWritable(options.stateDir);
  const download = progressBar('downloading model');
  const directory = await cacheModel(new URL(offered.url, origin), join(options.stateDir, 'models'), download.transfer);
  download.end();
  const source = await openModelDirectory(directorySource(directory));
  const { task, maxSeqLength, lora, algorithm } = run.config;
  const from = { sources: options.data, mapping: options.map };
  const data = await loadTrainingData(from, run.config, await openModelText(source));
  const rows = rowCount(data);
  const host = createTrainerHost({
    openGpu: () => openGpuFor(offered.parameters, (options.software ?? false) || offered.allowSoftware),
    source,
    lora,
    load: loadOnGpu,
    longestRow: maxSeqLength,
    task,
    ...localTerms(algorithm),
    tuning: fileTuningStore(join(options.stateDir, 'gpu.json')),
  });
  const { adapter } = (await host.opened()).gpu;
  const checkpoints = storageSlot(storage, 'checkpoint');
  const vectors = 1 + (algorithmOf(algorithm).extras?.length ?? 0);
  const updateBytes = vectors * adapterLayout(source.config, lora).length * (run.config.updateDtype === 'f16' ? 2 : 4);
  const kind = task === 'dpo' ? 'preference pairs' : 'training rows';
  note(`${rows} ${kind} stay here; ${formatBytes(updateBytes)} of adapter update leave each round`);

  const socket = connectParticipant(
    origin,
    {
      name: options.name,
      adapter: `${adapter.description || adapter.device} (Dawn)`,
      features: [...adapter.features],
    },
    () => resumeToken ?? token,
  );
  const log = jsonLog(options.log, { append: true });
  let accepted = 0;
  let bar = progressBar('training');
  let leave: (() => void) | undefined;
  const left = new Promise<void>((resolve) => {
    leave = resolve;
  });
  const baseModel = progressBar('base model');
  const onReference = (progress: { readonly pairs: number; readonly totalPairs: number }) =>
    baseModel.update(progress.pairs, progress.totalPairs);
  const participant = createParticipant({
    trainer: taskTrainer(host, data, run.config, { checkpoints, onNotice: note, onReference }),
    transport: socketTransport(socket, origin),
    storage,
    examples: rows,
    now: Date.now,
    onActivity(activity) {
      if (activity.kind === 'training' && activity.step === 0)
        bar = progressBar(`round ${activity.round + 1}/${run.config.rounds}`);
      if (activity.kind === 'uploaded') {
        void checkpoints.delete().catch(() => undefined);
        note(
          `round ${activity.round + 1}: ${activity.verdict.status}${'message' in activity.verdict ? ` (${activity.verdict.message})` : ''}`,
        );
        if (activity.verdict.status === 'accepted') accepted += 1;
        if (options.rounds !== undefined && accepted >= options.rounds) leave?.();
      }
      if (activity.kind === 'waiting') note(activity.reason);
      if (activity.kind === 'failed') note(`failed: ${activity.message}`);
    },
    onStep(record) {
      bar.update(
        record.step,
        run.config.steps,
        `loss ${record.lossNats.toFixed(4)}${rewardNote(record.rewards)}, ${record.tokensPerSecond.toFixed(0)} tokens/s`,
      );
      if (record.step === run.config.steps) bar.end();
      log.write({
        round: record.round,
        step: record.step,
        loss: record.lossNats,
        tokens_per_second: record.tokensPerSecond,
        ...(record.rewards && { reward_margin: record.rewards.margin, reward_accuracy: record.rewards.accuracy }),
      });
    },
  });
  let final: RunView | undefined;
  socket.on('run:state', (view) => {
    final = view;
  });
  let stopped = false;
  process.once('SIGINT', () => {
    stopped = true;
    note('stopping after this step; press Ctrl-C again to leave at once');
    process.once('SIGINT', () => process.exit(130));
    participant.stop('discard').then(leave);
  });
  const finished = drive(socket, participant, {
    onWelcome(next) {
      resumeToken = next;
      storage
        .set('resume-token', new TextEncoder().encode(next))
        .catch((error: Error) => note(`cannot keep the resume token: ${error.message}`));
    },
    onNotice: note,
    onRefused(code) {
      // The coordinator may have lost this identity; the invitation makes a new one.
      if (code !== 'unauthorized' || resumeToken === undefined) return false;
      resumeToken = undefined;
      return true;
    },
  });
  try {
    await Promise.race([finished, left]);
  } finally {
    socket.disconnect();
    log.close();
  }
  printEnd(options, final ?? run, { accepted, stopped });
  if (stopped) process.exitCode = 130;
}

const TASKS = { sft: 'responses', dpo: 'preferences (DPO)' } as const satisfies Record<
  RunView['config']['task'],
  string
>;

function rewardNote(rewards: Rewards | undefined): string {
  return rewards ? `, margin ${rewards.margin.toFixed(3)}, accuracy ${rewards.accuracy.toFixed(2)}` : '';
}

function printEnd(options: JoinOptions, run: RunView, own: { accepted: number; stopped: boolean }): void {
  const result = { run_id: run.runId, phase: run.phase, ...own, adapter_sha256: run.adapter?.sha256 ?? null };
  printResult(
    options.json,
    result,
    () =>
      `${result.phase}: ${own.stopped ? 'stopped after ' : ''}${own.accepted} updates accepted; global adapter sha256 ${result.adapter_sha256}`,
  );
}

function participantName(text: string): string {
  const parsed = clientInfo.shape.name.safeParse(text);
  if (parsed.success) return parsed.data;
  throw new InvalidArgumentError(`Got ${JSON.stringify(text)}: ${parsed.error.issues[0]?.message}.`);
}

function parseJoinLink(link: string): { origin: string; token: string } {
  const url = URL.canParse(link) ? new URL(link) : undefined;
  const token = url?.pathname.match(/^\/join\/([^/]+)\/?$/)?.[1];
  if (!url || !token || !url.protocol.startsWith('http')) {
    throw new UserError(`got "${link}", expected a join link like http://localhost:7400/join/TOKEN`);
  }
  return { origin: url.origin, token };
}

const joinAnswer = z.object({ run: runView, model: modelRef });

async function fetchRun(origin: string, token: string): Promise<{ run: RunView; model: ModelRef }> {
  let response: Response;
  try {
    response = await fetch(`${origin}/api/join/${token}`);
  } catch {
    throw new UserError(`cannot reach the coordinator at ${origin}: is it running, and is the address right?`);
  }
  const body = (await response.json().catch(() => undefined)) as { message?: string } | undefined;
  if (!response.ok)
    throw new FlError('unauthorized', body?.message ?? `the coordinator answered HTTP ${response.status}`);
  const answer = joinAnswer.safeParse(body);
  if (!answer.success) throw new UserError(`${origin} answered, but not as a coordinator does: is the link right?`);
  return answer.data;
}
