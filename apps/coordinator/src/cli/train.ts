import { join } from 'node:path';
import { addDelta, exampleOrder, storageSlot, subtract } from '@cotune/fl-core';
import {
  adapterLayout,
  checkPrecision,
  createTrainerHost,
  initAdapter,
  type LoraConfig,
  type Model,
  ModelError,
  type ModelSource,
  type TokenizedExample,
} from '@cotune/kernels';
import { fileTuningStore } from '@cotune/kernels/node';
import { Command } from 'commander';
import { fileStorage } from '../participant/storage.ts';
import { writePeft } from './export.ts';
import { loadOnGpu, openAdapter, openGpuFor, openModelFiles, parameterCount, weightsIdentity } from './model.ts';
import { STATE_DIRECTORY } from './options.ts';
import { note, printResult, progressBar, UserError } from './output.ts';
import {
  checkAdapterShape,
  checkTrainOptions,
  type TrainOptions,
  trainerOptions,
  withTrainOptions,
} from './train-options.ts';
import { openTask, type TaskStep } from './train-task.ts';
import { jsonLog, requireWritable } from './write-files.ts';

/** `cotune train`: LoRA training on this machine, no federation. */
export function trainCommand(): Command {
  const command = new Command('train').description('train a LoRA adapter on this machine, without federation');
  return withTrainOptions(command).action(runTrain);
}

async function runTrain(options: TrainOptions, command: Command): Promise<void> {
  checkTrainOptions(options);
  if (options.out !== undefined) await requireWritable(options.out);
  const source = await openModelFiles(options.model, options.dtype);
  const task = await openTask(options, source);
  const start = await startAdapter(options, source, command);
  const count = options.steps * options.batch;
  const order = options.shuffle
    ? exampleOrder({ examples: task.rows, count, seed: options.seed })
    : Array.from({ length: count }, (_, i) => i % task.rows);
  const host = createTrainerHost({
    openGpu: () => openGpuFor(parameterCount(source), options.software ?? false),
    source,
    lora: start.lora,
    load: loadOnGpu,
    tuning: fileTuningStore(join(STATE_DIRECTORY, 'gpu.json')),
    ...trainerOptions(options),
  });
  const { model, trainer } = await host.opened();
  const { layout } = trainer;
  await requirePrecision(model, start, options, task.examples([...new Set(order.slice(0, options.batch))]));

  const log = jsonLog(options.log);
  const bar = progressBar('training');
  const interrupt = interruption();
  const seen = createSummary();
  const weights = await weightsIdentity(options.model, source);
  const checkpoint = options.out === undefined ? undefined : storageSlot(fileStorage(options.out), 'checkpoint');
  const training = task.train(host, {
    weights: start.vector,
    order,
    store: checkpoint,
    context: JSON.stringify([weights, source.dtype, start.lora, trainerOptions(options)]),
    signal: interrupt.signal,
    onOther: (step) => refuseOther(options.out, step),
    onResumed: (step) => note(`going on after step ${step}, from the checkpoint in ${options.out}`),
    onRecovered: ({ message }, step) => note(`${message}; opened it again, going on after step ${step}`),
    onStoreError: once((error) => note(`cannot keep checkpoints in ${options.out}: ${(error as Error).message}`)),
    onStep(step) {
      seen.add(step);
      log.write(logRow(step, options.lr));
      bar.update(step.step + 1, options.steps, seen.note(), seen.secondsLeft(options.steps));
    },
  });
  const trained = await training.catch(async (error: unknown) => {
    // From there the same settings only diverge again, and others cannot go on.
    if (error instanceof ModelError && error.code === 'diverged') await checkpoint?.delete();
    throw error;
  });
  bar.end();
  interrupt.off();
  log.close();
  const vector = asHandedOn(start.vector, trained);
  const done = seen.steps();
  const stopped = done < options.steps;
  const out = done > 0 ? options.out : undefined;
  if (out) await writePeft(out, layout, vector, options.model);
  if (!stopped) await checkpoint?.delete();
  else if (out) note('the adapter so far was saved, and the same command goes on from there');
  const place = { parameters: layout.length, out: out ?? null };
  printResult(options.json, { steps: done, stopped, examples: task.rows, ...seen.result(), ...place }, () => {
    const what = options.task === 'dpo' ? 'pairs' : 'rows';
    const taken = stopped ? `stopped after ${done} of ${options.steps} steps` : `${done} steps`;
    const summary = done > 0 ? `${seen.text()} in ` : '';
    return `${summary}${taken} on ${task.rows} ${what}${out ? `; adapter in ${out}` : ''}`;
  });
  if (stopped) process.exitCode = 130;
}

/** The first Ctrl-C asks for the end after the step at hand, the second one ends the process. */
function interruption() {
  const abort = new AbortController();
  const stop = () => {
    if (abort.signal.aborted) process.exit(130);
    note('\nstopping after this step; press Ctrl-C again to leave at once');
    abort.abort();
  };
  process.on('SIGINT', stop);
  return { signal: abort.signal, off: () => process.off('SIGINT', stop) };
}

function refuseOther(out: string | undefined, step: number): never {
  throw new UserError(
    `${out} holds the checkpoint of a training that was stopped after ${step} steps, with other settings or more steps than now: ` +
      `repeat its command to go on, choose another --out, or remove ${join(out ?? '', 'checkpoint')} to start anew`,
  );
}

function once<T>(work: (value: T) => void): (value: T) => void {
  let done = false;
  return (value) => {
    if (!done) work(value);
    done = true;
  };
}

/** The start plus the update in single precision, as a federation of one client hands it on: so both give the same bits. */
function asHandedOn(start: Float32Array, trained: Float32Array): Float32Array {
  return addDelta(start, Float64Array.from(subtract(trained, start)));
}

function logRow({ step, lossNats, gradNorm, tokens, seconds, rewards }: TaskStep, lr: number): object {
  const row = { step: step + 1, loss: lossNats, grad_norm: gradNorm, lr, tokens, ms: Math.round(seconds * 1000) };
  return rewards ? { ...row, reward_margin: rewards.margin, reward_accuracy: rewards.accuracy } : row;
}

/** What is said of a run while it lasts and at its end. */
function createSummary() {
  let first: TaskStep | undefined;
  let last: TaskStep | undefined;
  // The first step compiles and records: it says nothing about those that follow.
  const later = { tokens: 0, seconds: 0 };
  const tokensPerSecond = (): number | undefined => {
    const { tokens, seconds } = later.seconds > 0 ? later : (first ?? later);
    return seconds > 0 ? tokens / seconds : undefined;
  };
  return {
    add(step: TaskStep): void {
      if (first) {
        later.tokens += step.tokens;
        later.seconds += step.seconds;
      }
      first ??= step;
      last = step;
    },
    steps: () => (last ? last.step + 1 : 0),
    /** null until a step was taken that did not compile. */
    secondsLeft(total: number): number | null {
      if (!first || !last || last === first) return null;
      return (later.seconds / (last.step - first.step)) * (total - 1 - last.step);
    },
    note(): string {
      const margin = last?.rewards ? `, margin ${last.rewards.margin.toFixed(3)}` : '';
      return `loss ${last?.lossNats.toFixed(4)}${margin}, ${tokensPerSecond()?.toFixed(0)} tokens/s`;
    },
    text(): string {
      const change = (of: (step: TaskStep) => number | undefined, digits: number) =>
        [first, last].map((step) => (step && of(step))?.toFixed(digits)).join(' → ');
      const loss = `loss ${change((step) => step.lossNats, 4)}`;
      if (!last?.rewards) return loss;
      const accuracy = change((step) => step.rewards?.accuracy, 2);
      return `${loss}, reward margin ${change((step) => step.rewards?.margin, 3)}, accuracy ${accuracy}`;
    },
    result(): object {
      const speed = tokensPerSecond();
      return {
        loss_first: first?.lossNats,
        loss_last: last?.lossNats,
        ...(last?.rewards ? { reward_margin: last.rewards.margin, reward_accuracy: last.rewards.accuracy } : {}),
        tokens_per_second: speed === undefined ? null : Math.round(speed * 10) / 10,
      };
    },
  };
}

interface StartAdapter {
  readonly lora: LoraConfig;
  readonly vector: Float32Array;
}

/** A precision below f32 trains only where it keeps loss and gradient of the first batch. Throws ModelError 'imprecise'. */
async function requirePrecision(
  model: Model,
  { lora, vector }: StartAdapter,
  options: TrainOptions,
  firstBatch: readonly TokenizedExample[],
): Promise<void> {
  const { precision, ...compute } = trainerOptions(options);
  if (precision === undefined || precision === 'f32') return;
  // A fresh adapter is no test: its B is zero, and hides what happens above it.
  const adapter = options.adapter === undefined ? {} : { adapter: vector };
  const check = await checkPrecision(model, lora, precision, firstBatch, { ...compute, ...adapter });
  const loss = check.lossDifference.toExponential(1);
  note(
    `precision ${precision}: loss within ${loss} of f32's, cosine of the gradients ${check.gradientCosine.toFixed(5)}`,
  );
}

async function startAdapter(options: TrainOptions, source: ModelSource, command: Command): Promise<StartAdapter> {
  if (options.adapter !== undefined) {
    const { config, vector } = await openAdapter(options.adapter, source);
    checkAdapterShape(options, config, command);
    return { lora: { ...config, dropout: options.dropout }, vector };
  }
  const { rank, alpha, dropout, targets } = options;
  const lora = { rank, alpha, dropout, targets };
  return { lora, vector: initAdapter(adapterLayout(source.config, lora), options.seed) };
}
