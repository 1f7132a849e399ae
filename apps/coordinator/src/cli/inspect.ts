import { existsSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { extname } from 'node:path';
import { TEMPLATE_CHOICES } from '@cotune/fl-core';
import { parseLlamaConfig, readPeft, verifyModelDirectory } from '@cotune/kernels';
import { directorySource } from '@cotune/kernels/node';
import { Command } from 'commander';
import { columnMap, MAP_HELP } from './column-map.ts';
import { dataReportText, type InspectDataOptions, inspectData } from './inspect-data.ts';
import { openModelFiles, parameterCount } from './model.ts';
import { integer, oneOf } from './options.ts';
import { formatBytes, printResult, progressBar, UserError } from './output.ts';
import { TASKS, TEMPLATE_HELP } from './train-options.ts';

/** `cotune inspect`: what a model, adapter or data file is. */
export function inspectCommand(): Command {
  return new Command('inspect')
    .description('what a model, adapter or data file is: shapes, counts, hashes, rejected rows')
    .argument('<path>', 'a model directory, a PEFT adapter directory or a data file (also preset:ID or an address)')
    .option(
      '--model <dir>',
      'the base model of an adapter, or the model whose tokenizer counts the tokens of a data file',
    )
    .option('--task <task>', 'read a data file for sft or dpo (default: as its rows are)', oneOf(TASKS))
    .option('--map <columns>', MAP_HELP, columnMap)
    .option('--template <id>', `with --model: ${TEMPLATE_HELP}`, oneOf(TEMPLATE_CHOICES), 'alpaca')
    .option('--seq <n>', 'with --model: the longest row in tokens that training takes', integer(2), 512)
    .option('--json', 'print one JSON object')
    .action(async (path: string, options: InspectDataOptions & { json?: boolean }) => {
      const info = await stat(path).catch(() => undefined);
      if (info?.isDirectory()) {
        const result = await inspectDirectory(path, options.model);
        return printResult(options.json, result, () => toText(result));
      }
      if (!info && !/^(preset:|https?:|demo$|demo-test$)/i.test(path)) {
        throw new UserError(`no such file or directory: ${path}`);
      }
      if (extname(path) === '.safetensors') throw new UserError(`${path}: give the directory that holds it`);
      const report = await inspectData(path, options);
      printResult(options.json, report, () => dataReportText(report));
    });
}

async function inspectDirectory(path: string, modelPath: string | undefined): Promise<Record<string, unknown>> {
  if (existsSync(`${path}/adapter_config.json`)) return inspectAdapter(path, modelPath);
  const source = await openModelFiles(path, 'int8');
  const common = {
    dtype: source.dtype,
    parameters: parameterCount(source),
    bytes: source.bytes,
    config: source.config,
  };
  if (!existsSync(`${path}/model.json`))
    return { kind: 'hugging-face-model', ...common, tensors: source.tensorNames.length };
  const bar = progressBar('checking');
  const report = await verifyModelDirectory(directorySource(path), bar.transfer);
  bar.end();
  return { kind: 'model-directory', ...common, tensors: source.tensorNames.length, shards: report.shards };
}

async function inspectAdapter(path: string, modelPath: string | undefined): Promise<Record<string, unknown>> {
  const config = JSON.parse(await readFile(`${path}/adapter_config.json`, 'utf8')) as Record<string, unknown>;
  const base = modelPath ?? String(config.base_model_name_or_path ?? '');
  if (!existsSync(base)) {
    throw new UserError(
      `${path} is a PEFT adapter; give its base model with --model (it names ${JSON.stringify(base)})`,
    );
  }
  const model = existsSync(`${base}/model.json`)
    ? (await openModelFiles(base, 'int8')).config
    : parseLlamaConfig(JSON.parse(await readFile(`${base}/config.json`, 'utf8')));
  const adapter = await readPeft(directorySource(path), model);
  const norm = Math.sqrt(adapter.vector.reduce((sum, x) => sum + x * x, 0));
  return {
    kind: 'adapter',
    ...adapter.config,
    tensors: adapter.layout.tensors.length,
    parameters: adapter.layout.length,
    norm,
  };
}

function toText(result: Record<string, unknown>): string {
  return Object.entries(result)
    .map(([key, value]) => {
      if (key === 'bytes' && typeof value === 'number') return `${key}: ${formatBytes(value)}`;
      if (Array.isArray(value))
        return `${key}:${value.map((item) => `\n  ${typeof item === 'object' ? JSON.stringify(item) : item}`).join('')}`;
      return `${key}: ${typeof value === 'object' ? JSON.stringify(value) : value}`;
    })
    .join('\n');
}
