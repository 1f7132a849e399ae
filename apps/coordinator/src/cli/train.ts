import { exampleOrder, TEMPLATE_IDS, type TemplateId } from '@cotune/fl-core';
import {
  adapterLayout,
  createTrainer,
  initAdapter,
  LORA_TARGETS,
  type LoraConfig,
  type LoraTarget,
  train,
} from '@cotune/kernels';
import { Command } from 'commander';
import { loadData, loadTokens } from './data.ts';
import { writePeft } from './export.ts';
import {
  loadOnGpu,
  openAdapter,
  openGpuFor,
  openModelFiles,
  openTokenizer,
  parameterCount,
  type WeightDtype,
} from './model.ts';
import { collect, decimal, integer, listOf, oneOf } from './options.ts';
import { jsonLog, note, printResult, progressBar, UserError } from './output.ts';

interface TrainOptions {
  model: string;
  data?: string[];
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
  seed: number;
  shuffle: boolean;
  clip: number;
  weightDecay: number;
  template: TemplateId;
  dtype: WeightDtype;
  out?: string;
  log?: string;
  software?: boolean;
  json?: boolean;
}

/** `cotune train`: LoRA training on this machine, no federation. */
export function trainCommand(): Command {
  return new Command('train')
    .description('train a LoRA adapter on this machine, without federation')
    .requiredOption('--model <dir>', 'model directory (Cotune or Hugging Face)')
    .option('--data <file>', 'training data: JSONL, JSON, CSV or TSV; repeat for several', collect)
    .option('--tokens <file>', 'pre-tokenised JSONL rows {"input_ids", "labels"}, −100 = no loss')
    .option('--adapter <dir>', 'PEFT directory to start from; its rank, alpha and targets are kept')
    .option('--rank <n>', 'LoRA rank', integer(1, 256), 8)
    .option('--alpha <a>', 'LoRA alpha; the update is scaled by alpha / rank', decimal(0), 16)
    .option('--targets <list>', 'linears: q,k,v,o,gate,up,down', shortTargets, ['q_proj', 'v_proj'] as LoraTarget[])
    .option('--dropout <p>', 'dropout on the LoRA input', decimal(0, 0.9), 0)
    .option('--lr <rate>', 'learning rate', decimal(0), 5e-5)
    .option('--steps <n>', 'optimiser steps', integer(1), 10)
    .option('--batch <n>', 'rows a step', integer(1, 1024), 16)
    .option('--seq <n>', 'longest row in tokens', integer(2), 512)
    .option('--seed <n>', 'seed of the adapter, the order of rows and dropout', integer(0), 1)
    .option('--no-shuffle', 'take rows in file order, wrapping')
    .option('--clip <norm>', 'gradient norm clip, 0 = off', decimal(0), 1)
    .option('--weight-decay <d>', 'decoupled weight decay', decimal(0), 0)
    .option('--template <id>', TEMPLATE_IDS.join(', '), oneOf(TEMPLATE_IDS), 'alpaca')
    .option('--dtype <dtype>', 'weights of a Hugging Face directory: int8 or f32', oneOf(['int8', 'f32']), 'int8')
    .option('--out <dir>', 'PEFT directory to write')
    .option('--log <file>', 'JSONL, a row a step: step, loss, grad_norm, lr, tokens, ms')
    .option('--software', 'allow a software adapter for a large model')
    .option('--json', 'print one JSON object at the end')
    .action(runTrain);
}

const TARGET_NAMES = LORA_TARGETS.map((target) => target.replace('_proj', ''));
function shortTargets(text: string): LoraTarget[] {
  const names = listOf([...TARGET_NAMES])(text.replaceAll('_proj', ''));
  return LORA_TARGETS.filter((target) => names.includes(target.replace('_proj', '')));
}

async function runTrain(options: TrainOptions): Promise<void> {
  if ((options.data === undefined) === (options.tokens === undefined)) {
    throw new UserError('give either --data or --tokens');
  }
  const source = await openModelFiles(options.model, options.dtype);
  const { examples } =
    options.tokens === undefined
      ? await loadData(options.data ?? [], {
          tokenizer: await openTokenizer(source),
          template: options.template,
          maxSeqLength: options.seq,
        })
      : await loadTokens(options.tokens, source.config.vocabSize);
  const start = await startAdapter(options, source);
  const gpu = await openGpuFor(parameterCount(source), options.software ?? false);
  const trainer = await createTrainer(await loadOnGpu(gpu, source), start.lora);
  trainer.setAdapter(start.vector);
  const needed = options.steps * options.batch;
  const order = options.shuffle
    ? exampleOrder({ examples: examples.length, count: needed, seed: options.seed })
    : undefined;
  const rows = order ? order.map((index) => examples[index] as (typeof examples)[number]) : examples;

  const log = jsonLog(options.log);
  const bar = progressBar('training');
  const abort = new AbortController();
  const stop = () => abort.abort();
  process.once('SIGINT', stop);
  let first: number | undefined;
  let last = Number.NaN;
  let done = 0;
  await train(trainer, rows, {
    steps: options.steps,
    batchSize: options.batch,
    learningRate: options.lr,
    clipNorm: options.clip,
    weightDecay: options.weightDecay,
    dropoutSeed: options.seed,
    signal: abort.signal,
    onStep(record) {
      first ??= record.lossNats;
      last = record.lossNats;
      done = record.step + 1;
      log.write({
        step: done,
        loss: record.lossNats,
        grad_norm: record.gradNorm,
        lr: options.lr,
        tokens: record.tokens,
        ms: Math.round(record.seconds * 1000),
      });
      bar.update(done, options.steps, `loss ${record.lossNats.toFixed(4)}`);
    },
  });
  bar.end();
  process.off('SIGINT', stop);
  await log.close();
  const vector = await trainer.adapter();
  if (options.out) await writePeft(options.out, trainer.layout, vector, options.model);
  if (abort.signal.aborted)
    note(`stopped after ${done} of ${options.steps} steps${options.out ? '; the adapter so far was saved' : ''}`);
  printResult(
    options.json,
    {
      steps: done,
      examples: examples.length,
      loss_first: first,
      loss_last: last,
      parameters: trainer.layout.length,
      out: options.out ?? null,
    },
    () =>
      `loss ${first?.toFixed(4)} → ${last.toFixed(4)} in ${done} steps on ${examples.length} rows${options.out ? `; adapter in ${options.out}` : ''}`,
  );
}

async function startAdapter(
  options: TrainOptions,
  source: Parameters<typeof openAdapter>[1],
): Promise<{ lora: LoraConfig; vector: Float32Array }> {
  if (options.adapter !== undefined) {
    const { config, vector } = await openAdapter(options.adapter, source);
    return { lora: { ...config, dropout: options.dropout }, vector };
  }
  const { rank, alpha, dropout, targets } = options;
  const lora = { rank, alpha, dropout, targets };
  return { lora, vector: initAdapter(adapterLayout(source.config, lora), options.seed) };
}
