import { type RunConfig, rowCount, type TrainingData } from '@cotune/fl-core';
import {
  type ModelSource,
  type Resumption,
  type TokenizedExample,
  type TrainerHost,
  trainPairsResumably,
  trainResumably,
} from '@cotune/kernels';
import { openModelText } from '../participant/model-text.ts';
import { loadTokenRows, loadTrainingData } from './data.ts';
import { progressBar } from './output.ts';
import type { TrainOptions } from './train-options.ts';

/** What every task reports of a step; `step` counts from 0. */
export interface TaskStep {
  readonly step: number;
  readonly lossNats: number;
  readonly gradNorm: number;
  readonly tokens: number;
  readonly seconds: number;
  /** Means over the pairs of a step of preferences. */
  readonly rewards?: { readonly margin: number; readonly accuracy: number };
}

export interface TaskRun extends Resumption {
  /** Where training starts. */
  readonly weights: Float32Array;
  /** Row indices in the order in which the steps take them. */
  readonly order: readonly number[];
  readonly signal: AbortSignal;
  readonly onStep: (step: TaskStep) => void;
}

/** Data and training loop of `--task`. */
export interface Task {
  /** Rows or pairs. */
  readonly rows: number;
  /** The sequences of these rows. */
  examples(rows: readonly number[]): TokenizedExample[];
  /** Returns the trained vector; after an abort the one reached so far. */
  train(host: TrainerHost, run: TaskRun): Promise<Float32Array>;
}

/** Reads the data of the task. Throws UserError when nothing of it can be used. */
export async function openTask(options: TrainOptions, source: ModelSource): Promise<Task> {
  const data = await readData(options, source);
  return {
    rows: rowCount(data),
    examples: (rows) => rows.flatMap((index) => sequencesOf(data, index)),
    train: (host, run) => trainTask(host, data, options, run),
  };
}

async function readData(options: TrainOptions, source: ModelSource): Promise<TrainingData> {
  if (options.tokens !== undefined) return loadTokenRows(options.tokens, options.task, source.config);
  const config = {
    task: options.task,
    dpo: dpoOf(options),
    template: options.template,
    maxSeqLength: Math.min(options.seq, source.config.maxPositions),
  };
  return loadTrainingData({ sources: options.data ?? [], mapping: options.map }, config, await openModelText(source));
}

/** β where none is given: that of the paper's dialogue experiments, of trl and of OpenFedLLM. */
const DEFAULT_BETA = 0.1;

function dpoOf({ beta = DEFAULT_BETA, promptSeq }: TrainOptions): RunConfig['dpo'] {
  return promptSeq === undefined ? { beta } : { beta, maxPromptLength: promptSeq };
}

function sequencesOf(data: TrainingData, index: number): TokenizedExample[] {
  if (data.task === 'dpo') {
    const pair = data.pairs[index];
    if (pair) return [pair.chosen, pair.rejected];
  } else {
    const example = data.examples[index];
    if (example) return [example];
  }
  throw new RangeError(`row ${index} of ${rowCount(data)}`);
}

async function trainTask(
  host: TrainerHost,
  data: TrainingData,
  options: TrainOptions,
  { onStep, ...run }: TaskRun,
): Promise<Float32Array> {
  const { steps, batch, lr, clip, weightDecay, seed } = options;
  const course = { ...run, steps, batchSize: batch, learningRate: lr, clipNorm: clip, weightDecay, dropoutSeed: seed };
  if (data.task === 'sft') return (await trainResumably(host, data.examples, { ...course, onStep })).adapter;
  const bar = progressBar('base model');
  const { adapter } = await trainPairsResumably(host, data.pairs, {
    ...course,
    beta: dpoOf(options).beta,
    onReference({ pairs, totalPairs }) {
      bar.update(pairs, totalPairs);
      if (pairs === totalPairs) bar.end();
    },
    onStep: ({ rewardMargin, rewardAccuracy, ...step }) =>
      onStep({ ...step, rewards: { margin: rewardMargin, accuracy: rewardAccuracy } }),
  });
  return adapter;
}
