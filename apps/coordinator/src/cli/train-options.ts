import { TEMPLATE_CHOICES, type TemplateChoice } from '@cotune/fl-core';
import { type LoraConfig, type LoraTarget, PRECISIONS, type TrainerOptions } from '@cotune/kernels';
import type { Command } from 'commander';
import { type Columns, columnMap, MAP_HELP } from './column-map.ts';
import type { WeightDtype } from './model.ts';
import { collect, decimal, integer, loraTargets, oneOf, TARGETS_HELP } from './options.ts';
import { UsageError } from './output.ts';
import { DATA_SOURCES } from './row-files.ts';

export const TEMPLATE_HELP = `${TEMPLATE_CHOICES.join(', ')} (chat: the one that the model brings)`;

export const TASKS = ['sft', 'dpo'] as const;

export interface TrainOptions {
  task: (typeof TASKS)[number];
  model: string;
  data?: string[];
  map?: Columns;
  tokens?: string;
  adapter?: string;
  rank: number;
  alpha: number;
  targets: LoraTarget[];
  dropout: number;
  lr: number;
  steps: number;
  batch: number;
  seq: number;
  promptSeq?: number;
  beta?: number;
  seed: number;
  shuffle: boolean;
  pack: boolean;
  clip: number;
  weightDecay: number;
  template: TemplateChoice;
  dtype: WeightDtype;
  precision: NonNullable<TrainerOptions['precision']>;
  plan: NonNullable<TrainerOptions['plan']>;
  budget?: number;
  attention: NonNullable<TrainerOptions['attention']>;
  out?: string;
  log?: string;
  software?: boolean;
  json?: boolean;
}

/** Declares the options of `cotune train`. */
export function withTrainOptions(command: Command): Command {
  return command
    .requiredOption('--model <dir>', 'model directory (Cotune or Hugging Face), address or hub id')
    .option('--task <task>', 'sft: learn responses; dpo: learn to prefer one of two', oneOf(TASKS), 'sft')
    .option('--data <source>', `training data: ${DATA_SOURCES}; repeat for several`, collect)
    .option('--map <columns>', MAP_HELP, columnMap)
    .option(
      '--tokens <file>',
      'pre-tokenised JSONL rows {"input_ids", "labels"}, with dpo one of each a side; −100 = no loss',
    )
    .option('--adapter <dir>', 'PEFT directory to start from; its rank, alpha and targets are kept')
    .option('--rank <n>', 'LoRA rank', integer(1, 256), 8)
    .option('--alpha <a>', 'LoRA alpha; the update is scaled by alpha / rank', decimal(0), 16)
    .option('--targets <list>', TARGETS_HELP, loraTargets, ['q_proj', 'v_proj'] as LoraTarget[])
    .option('--dropout <p>', 'dropout on the LoRA input', decimal(0, 0.9), 0)
    .option('--beta <b>', 'dpo: how strongly the base model holds the adapter (default: 0.1)', decimal(1e-6))
    .option('--lr <rate>', 'learning rate', decimal(0), 5e-5)
    .option('--steps <n>', 'optimiser steps', integer(1), 10)
    .option('--batch <n>', 'rows or pairs a step', integer(1, 1024), 16)
    .option('--seq <n>', 'longest row in tokens', integer(2), 512)
    .option(
      '--prompt-seq <n>',
      'dpo: tokens of a prompt kept where a pair is too long (default: half of --seq)',
      integer(1),
    )
    .option('--seed <n>', 'seed of the adapter, the order of rows and dropout', integer(0), 1)
    .option('--no-shuffle', 'take rows in file order, wrapping')
    .option('--no-pack', 'give each row a row of its own on the GPU')
    .option('--clip <norm>', 'gradient norm clip, 0 = off', decimal(0), 1)
    .option('--weight-decay <d>', 'decoupled weight decay', decimal(0), 0)
    .option('--template <id>', TEMPLATE_HELP, oneOf(TEMPLATE_CHOICES), 'alpaca')
    .option('--dtype <dtype>', 'weights of a Hugging Face directory: int8 or f32', oneOf(['int8', 'f32']), 'int8')
    .option('--precision <p>', `arithmetic of the frozen matmuls: ${PRECISIONS.join(', ')}`, oneOf(PRECISIONS), 'f32')
    .option(
      '--plan <plan>',
      'a keeps layers for the backward pass, b recomputes them; auto',
      oneOf(['a', 'b', 'auto']),
      'auto',
    )
    .option('--budget <GiB>', 'GPU memory to stay within', decimal(0.001))
    .option('--attention <kind>', 'flash, materialised, auto', oneOf(['flash', 'materialised', 'auto']), 'auto')
    .option(
      '--out <dir>',
      'PEFT directory to write; stopped before its end, the same command goes on, with the same --steps or more',
    )
    .option(
      '--log <file>',
      'JSONL, a row a step: step, loss, grad_norm, lr, tokens, ms; dpo: reward_margin, reward_accuracy',
    )
    .option('--software', 'allow a software adapter for a large model')
    .option('--json', 'print one JSON object at the end');
}

/** Refuses combinations that would silently mean something else. Throws UsageError. */
export function checkTrainOptions(options: TrainOptions): void {
  const { data, map, tokens, task, beta, promptSeq } = options;
  if ((data === undefined) === (tokens === undefined)) throw new UsageError('give either --data or --tokens');
  if (tokens !== undefined && map !== undefined) throw new UsageError('--map is of --data: tokens have no columns');
  if (task === 'dpo') return;
  for (const [name, value] of [
    ['--beta', beta],
    ['--prompt-seq', promptSeq],
  ] as const) {
    if (value !== undefined) throw new UsageError(`${name} is of preference pairs: add --task dpo`);
  }
}

/** Refuses a shape given beside --adapter that is not the adapter's own. Throws UsageError. */
export function checkAdapterShape(options: TrainOptions, found: LoraConfig, command: Command): void {
  for (const name of ['rank', 'alpha', 'targets'] as const) {
    if (command.getOptionValueSource(name) !== 'cli') continue;
    const [got, expected] = [options[name], found[name]].map((value) =>
      Array.isArray(value) ? [...value].sort().join(',') : String(value),
    );
    if (got !== expected)
      throw new UsageError(`--${name}: got ${got}, but ${options.adapter} has ${expected}; leave --${name} out`);
  }
}

/** What of the options decides how the engine computes. */
export function trainerOptions({ task, pack, precision, plan, budget, attention, seq }: TrainOptions): TrainerOptions {
  const budgetBytes = budget === undefined ? {} : { budgetBytes: Math.floor(budget * 2 ** 30) };
  return { task, packing: pack, precision, plan, attention, longestRow: seq, ...budgetBytes };
}
