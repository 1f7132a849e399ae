import {
  type ModelSource,
  type PreferencePair,
  type Resumption,
  type TokenizedExample,
  type Trainer,
  type TrainerHost,
  trainPairsResumably,
  trainResumably,
} from '@cotune/kernels';
import { loadData, loadTokens } from './data.ts';
import { openTokenizer } from './model.ts';
import { progressBar } from './output.ts';
import { loadPairs, loadPairTokens } from './preference-data.ts';
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
  switch (options.task) {
    case 'sft':
      return supervised(options, source);
    case 'dpo':
      return preferences(options, source);
    default:
      return options.task satisfies never;
  }
}

function stepOptions({ steps, batch, lr, clip, weightDecay, seed }: TrainOptions) {
  return { steps, batchSize: batch, learningRate: lr, clipNorm: clip, weightDecay, dropoutSeed: seed };
}

/** The rows at these indices. */
function pick<Row>(rows: readonly Row[], indices: readonly number[]): Row[] {
  return indices.map((index) => {
    const row = rows[index];
    if (row === undefined) throw new RangeError(`row ${index} of ${rows.length}`);
    return row;
  });
}

async function supervised(options: TrainOptions, source: ModelSource): Promise<Task> {
  const { examples } =
    options.tokens === undefined
      ? await loadData(options.data ?? [], {
          tokenizer: await openTokenizer(source),
          template: options.template,
          maxSeqLength: Math.min(options.seq, source.config.maxPositions),
        })
      : await loadTokens(options.tokens, source.config);
  return {
    rows: examples.length,
    examples: (rows) => pick(examples, rows),
    train: (host, run) => trainResumably(host, examples, { ...stepOptions(options), ...run }),
  };
}

/** β where none is given: that of the paper's dialogue experiments, of trl and of OpenFedLLM. */
const DEFAULT_BETA = 0.1;

async function preferences(options: TrainOptions, source: ModelSource): Promise<Task> {
  const { pairs } =
    options.tokens === undefined
      ? await loadPairs(options.data ?? [], {
          tokenizer: await openTokenizer(source),
          template: options.template,
          maxSeqLength: Math.min(options.seq, source.config.maxPositions),
          maxPromptLength: options.promptSeq,
        })
      : await loadPairTokens(options.tokens, source.config);
  return {
    rows: pairs.length,
    examples: (rows) => pick(pairs, rows).flatMap(({ chosen, rejected }) => [chosen, rejected]),
    async train(host, { onStep, ...run }) {
      return trainPairsResumably(host, await withReference(await host.trainer(), pairs, run.order), {
        ...stepOptions(options),
        ...run,
        beta: options.beta ?? DEFAULT_BETA,
        onStep: ({ rewardMargin, rewardAccuracy, ...step }) =>
          onStep({ ...step, rewards: { margin: rewardMargin, accuracy: rewardAccuracy } }),
      });
    },
  };
}

/**
 * Pairs that are met more than once are asked of the base model once, beforehand, instead of in every step: it never
 * changes, and is a third of a step's work.
 */
async function withReference(
  trainer: Trainer,
  pairs: readonly PreferencePair[],
  order: readonly number[],
): Promise<readonly PreferencePair[]> {
  const met = [...new Set(order)];
  if (met.length === order.length) return pairs;
  const bar = progressBar('base model');
  const onProgress = (progress: { readonly pairs: number; readonly totalPairs: number }) =>
    bar.update(progress.pairs, progress.totalPairs);
  const known = await trainer.referenceLogProbs(pick(pairs, met), { onProgress });
  bar.end();
  const all = [...pairs];
  met.forEach((index, i) => {
    const pair = all[index];
    if (pair) all[index] = { ...pair, reference: known[i] };
  });
  return all;
}
