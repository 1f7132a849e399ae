import { promptTokens, TEMPLATE_CHOICES, type TemplateChoice } from '@cotune/fl-core';
import { generate } from '@cotune/kernels';
import { Command } from 'commander';
import { openModelText } from '../participant/model-text.ts';
import { loadOnGpu, openAdapter, openGpuFor, openModelFiles, parameterCount, type WeightDtype } from './model.ts';
import { decimal, integer, oneOf } from './options.ts';
import { printResult, UserError } from './output.ts';
import { TEMPLATE_HELP } from './train-options.ts';

interface GenerateOptions {
  model: string;
  adapter?: string;
  prompt: string;
  template?: TemplateChoice;
  maxTokens: number;
  temperature: number;
  topP: number;
  seed: number;
  dtype: WeightDtype;
  software?: boolean;
  json?: boolean;
}

/** `cotune generate`: text from a base model, optionally with an adapter. */
export function generateCommand(): Command {
  return new Command('generate')
    .description('generate text with a base model and, if given, an adapter')
    .requiredOption('--model <dir>', 'model directory (Cotune or Hugging Face), an address of one, or a hub id')
    .option('--adapter <dir>', 'PEFT adapter directory')
    .option('--prompt <text>', 'prompt; empty means the BOS token alone', '')
    .option('--template <id>', `put the prompt as training did: ${TEMPLATE_HELP}`, oneOf(TEMPLATE_CHOICES))
    .option('--max-tokens <n>', 'tokens to generate at most', integer(1), 128)
    .option('--temperature <t>', '0 = greedy', decimal(0), 0)
    .option('--top-p <p>', 'nucleus sampling mass', decimal(1e-6, 1), 1)
    .option('--seed <n>', 'seed of the sampling', integer(0), 1)
    .option('--dtype <dtype>', 'weights of a Hugging Face directory: int8 or f32', oneOf(['int8', 'f32']), 'int8')
    .option('--software', 'allow a software adapter for a large model')
    .option('--json', 'print {"prompt", "text", "token_ids"}')
    .action(runGenerate);
}

async function runGenerate(options: GenerateOptions): Promise<void> {
  const source = await openModelFiles(options.model, options.dtype);
  const adapter = options.adapter === undefined ? undefined : await openAdapter(options.adapter, source);
  const { tokenizer: text, template } = await openModelText(source);
  const promptIds =
    options.template === undefined
      ? text.encode(options.prompt, { bos: true })
      : promptTokens([options.prompt], await template(options.template), text);
  if ('reason' in promptIds) throw new UserError(`the prompt ${promptIds.reason}`);
  if (promptIds.length >= source.config.maxPositions) {
    throw new UserError(
      `the prompt has ${promptIds.length} tokens, but the model reads at most ${source.config.maxPositions}`,
    );
  }
  const gpu = await openGpuFor(parameterCount(source), options.software ?? false);
  const model = await loadOnGpu(gpu, source);
  const live = !options.json && process.stdout.isTTY;
  const written: number[] = [];
  let shown = '';
  const { tokenIds } = await generate(model, {
    promptIds,
    maxTokens: Math.min(options.maxTokens, source.config.maxPositions - promptIds.length),
    temperature: options.temperature,
    topP: options.topP,
    seed: options.seed,
    ...(adapter && { adapter }),
    stopIds: source.config.eosTokenIds,
    onToken(id) {
      if (!live) return;
      written.push(id);
      const next = text.decode(written);
      process.stdout.write(next.slice(shown.length));
      shown = next;
    },
  });
  const result = { prompt: options.prompt, text: text.decode(tokenIds), token_ids: tokenIds };
  if (live) process.stdout.write('\n');
  else printResult(options.json, result, () => result.text);
}
