import { existsSync } from 'node:fs';
import { ALGORITHM_IDS, type AlgorithmId, algorithmSettings, localTerms } from '@cotune/fl-core';
import {
  choosePlan,
  FLASH_ROW_TOKENS,
  type LlamaConfig,
  type LoraConfig,
  type LoraTarget,
  leastRows,
  type MemoryPlan,
  MODEL_PRESETS,
  PRECISIONS,
  type Precision,
  planMemory,
  type TokenFlops,
  trainingFlops,
} from '@cotune/kernels';
import { Command } from 'commander';
import { openModelFiles, type WeightDtype } from './model.ts';
import { decimal, integer, loraTargets, oneOf, TARGETS_HELP } from './options.ts';
import { formatBytes, note, printResult, UserError } from './output.ts';
import { TASKS } from './train-options.ts';

interface PlanOptions {
  model: string;
  task: (typeof TASKS)[number];
  algorithm: AlgorithmId;
  rank: number;
  targets: LoraTarget[];
  seq: number;
  microBatch: number;
  precision: Precision;
  attention: 'flash' | 'materialised' | 'auto';
  dtype: WeightDtype;
  budget?: number;
  binding: number;
  tflops?: number;
  json?: boolean;
}

const PRESET_IDS = Object.keys(MODEL_PRESETS) as (keyof typeof MODEL_PRESETS)[];

/** `cotune plan`: what LoRA training would take of a GPU, before anything is allocated. */
export function planCommand(): Command {
  return new Command('plan')
    .description('GPU memory and arithmetic of LoRA training, by part and plan; allocates nothing')
    .requiredOption('--model <dir>', `model directory, or one of ${PRESET_IDS.join(', ')}`)
    .option('--task <task>', 'sft; dpo: pairs of responses, both in one micro-batch', oneOf(TASKS), 'sft')
    .option(
      '--algorithm <id>',
      `what the steps of a federation hold beside (default hyperparameters): ${ALGORITHM_IDS.join(', ')}`,
      oneOf(ALGORITHM_IDS),
      'fedavg',
    )
    .option('--rank <n>', 'LoRA rank', integer(1, 256), 8)
    .option('--targets <list>', TARGETS_HELP, loraTargets, ['q_proj', 'v_proj'] as LoraTarget[])
    .option('--seq <n>', 'tokens of a row', integer(1), 512)
    .option('--micro-batch <tokens>', 'most tokens that go through the model at once', integer(1), 2048)
    .option('--precision <p>', PRECISIONS.join(', '), oneOf(PRECISIONS), 'f32')
    .option(
      '--attention <kind>',
      `flash, materialised; auto: flash from ${FLASH_ROW_TOKENS} tokens a row on, as a hardware GPU trains`,
      oneOf(['flash', 'materialised', 'auto']),
      'auto',
    )
    .option('--dtype <dtype>', 'weights: int8 or f32', oneOf(['int8', 'f32']), 'int8')
    .option('--budget <GiB>', 'GPU memory for weights, adapter, optimiser and activations', decimal(0))
    .option('--binding <MiB>', 'largest binding of the adapter (cotune adapters tells)', decimal(1), 128)
    .option('--tflops <n>', 'speed to reckon with, in TFLOP/s: adds time', decimal(1e-6))
    .option('--json', 'print one JSON object')
    .action(runPlan);
}

async function runPlan(options: PlanOptions): Promise<void> {
  const { rank, targets, seq, microBatch, tflops } = options;
  const config = await configOf(options);
  const lora: LoraConfig = { rank, alpha: 2 * rank, dropout: 0, targets };
  const bindingBytes = options.binding * 2 ** 20;
  const { dtype, precision, task, algorithm } = options;
  const terms = localTerms(algorithmSettings.parse({ id: algorithm }));
  const auto = seq >= FLASH_ROW_TOKENS ? 'flash' : 'materialised';
  const attention = options.attention === 'auto' ? auto : options.attention;
  const request = { dtype, precision, attention, seq, bindingBytes, task, ...terms };
  const batch = Math.max(leastRows(task), Math.floor(microBatch / seq));
  if (microBatch < leastRows(task) * seq)
    note(`--micro-batch ${microBatch} is less than the least of ${leastRows(task)} × ${seq} tokens, which is planned`);
  const plans = (['a', 'b'] as const).map((plan) => {
    const memory = planMemory(config, lora, { ...request, plan, batch });
    return { memory, flops: trainingFlops(config, lora, { seq, plan }) };
  });
  const budgetBytes = options.budget === undefined ? undefined : options.budget * 2 ** 30;
  const chosen = tryOr(
    () => choosePlan(config, lora, { ...request, microBatchTokens: microBatch, budgetBytes }),
    () => options.json || process.stdout.write(`${table(plans, bindingBytes).join('\n')}\n`), // to see by how much
  );
  const flops = trainingFlops(config, lora, { seq, plan: chosen.plan });
  const seconds = tflops ? (flops.total * chosen.batch * seq) / (tflops * 1e12) : null;
  const result = { model: options.model, task, algorithm, rank, targets, precision, attention, dtype };
  printResult(
    options.json,
    {
      ...result,
      plans: plans.map(({ memory, flops: own }) => ({ ...jsonOf(memory), flops_per_token: own.total })),
      chosen: { ...jsonOf(chosen), flops_per_token: flops.total, micro_batch_seconds: seconds },
    },
    () => [...table(plans, bindingBytes), '', ...verdict(chosen, flops, options, seconds)].join('\n'),
  );
}

/** The result of `work`; when it throws, `first` is done before the error goes on. */
function tryOr<T>(work: () => T, first: () => void): T {
  try {
    return work();
  } catch (error) {
    first();
    throw error;
  }
}

/** Throws UserError for a model that is neither a directory nor known by name. */
async function configOf({ model, dtype }: PlanOptions): Promise<LlamaConfig> {
  const preset = PRESET_IDS.find((id) => id === model.toLowerCase());
  if (preset && !existsSync(model)) return MODEL_PRESETS[preset];
  if (!existsSync(model)) {
    throw new UserError(`no directory ${model}, and no model known by that name (${PRESET_IDS.join(', ')})`);
  }
  return (await openModelFiles(model, dtype)).config;
}

function jsonOf(memory: MemoryPlan) {
  const { plan, batch, seq, weights, optimizer, saves, scratch, readBack, logits, total, largestBuffer } = memory;
  const bytes = { weights, optimizer, saves, scratch, read_back: readBack, total };
  return { plan, rows: batch, seq, bytes, logits_bytes: logits, largest_buffer: largestBuffer };
}

interface Planned {
  readonly memory: MemoryPlan;
  readonly flops: TokenFlops;
}

const PARTS = [
  ['weights', 'weights'],
  ['optimizer', 'adapter vectors, AdamW'],
  ['saves', 'saves of the layers'],
  ['scratch', 'scratch, logits included'],
  ['readBack', 'read-back of checkpoints'],
  ['total', 'total'],
] as const;

function table(plans: readonly Planned[], bindingBytes: number): string[] {
  const row = (label: string, cells: readonly string[]) =>
    label.padEnd(28) + cells.map((cell) => cell.padStart(14)).join('');
  const largest = plans.map(({ memory: { largestBuffer } }) => largestBuffer);
  const warnings = largest.filter(({ bytes }) => bytes > bindingBytes);
  return [
    row(
      'MiB',
      plans.map(({ memory: { plan, batch, seq } }) => `${plan.toUpperCase()} ${batch} × ${seq}`),
    ),
    ...PARTS.map(([part, label]) =>
      row(
        label,
        plans.map(({ memory }) => mebibytes(memory[part])),
      ),
    ),
    row(
      'largest buffer',
      largest.map(({ bytes }) => mebibytes(bytes)),
    ),
    row(
      'GFLOP a token',
      plans.map(({ flops }) => digits(flops.total / 1e9)),
    ),
    ...warnings
      .slice(0, 1)
      .map(
        ({ name, bytes }) => `${name} (${mebibytes(bytes)} MiB) passes the binding of ${mebibytes(bindingBytes)} MiB`,
      ),
  ];
}

function verdict(
  chosen: MemoryPlan,
  flops: TokenFlops,
  { budget, tflops }: PlanOptions,
  seconds: number | null,
): string[] {
  const tokens = chosen.batch * chosen.seq;
  const within = budget === undefined ? '' : ` of ${budget} GiB`;
  const lines = [
    `chosen: plan ${chosen.plan.toUpperCase()}, micro-batches of ${chosen.batch} × ${chosen.seq} tokens, ${formatBytes(chosen.total)}${within}`,
    `arithmetic: ${digits(flops.forward / 1e9)} forward + ${digits(flops.backward / 1e9)} backward` +
      `${flops.recompute > 0 ? ` + ${digits(flops.recompute / 1e9)} again` : ''} GFLOP a token`,
  ];
  if (seconds) {
    lines.push(
      `time at ${tflops} TFLOP/s: ${digits(seconds)} s a micro-batch, ${(tokens / seconds).toFixed(0)} tokens/s`,
    );
  }
  return lines;
}

/** Two decimals, or as many as show two digits. */
function digits(value: number): string {
  return value >= 0.1 || value === 0 ? value.toFixed(2) : value.toPrecision(2);
}

function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1);
}
