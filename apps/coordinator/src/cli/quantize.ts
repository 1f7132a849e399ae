import { existsSync } from 'node:fs';
import { quantizeModel } from '@cotune/kernels';
import { directorySink, directorySource } from '@cotune/kernels/node';
import { Command } from 'commander';
import { requireDirectory, type WeightDtype } from './model.ts';
import { oneOf } from './options.ts';
import { formatBytes, printResult, progressBar, UserError } from './output.ts';

interface QuantizeOptions {
  from: string;
  out: string;
  dtype: WeightDtype;
  json?: boolean;
}

/** `cotune quantize`: a Hugging Face directory becomes a model directory that tabs can download. */
export function quantizeCommand(): Command {
  return new Command('quantize')
    .description('make a model directory from Hugging Face safetensors, in memory bounded by one tensor')
    .requiredOption('--from <dir>', 'Hugging Face directory (config.json, *.safetensors, tokenizer.json)')
    .requiredOption('--out <dir>', 'directory to write')
    .option('--dtype <dtype>', 'linear weights: int8 or f32', oneOf(['int8', 'f32']), 'int8')
    .option('--json', 'print one JSON object')
    .action(async (options: QuantizeOptions) => {
      await requireDirectory(options.from);
      if (existsSync(`${options.out}/model.json`)) {
        throw new UserError(`${options.out} already holds a model directory: choose another --out or remove it`);
      }
      const bar = progressBar('quantising');
      const manifest = await quantizeModel(directorySource(options.from), directorySink(options.out), {
        dtype: options.dtype,
        onProgress: ({ doneBytes, totalBytes }) => bar.update(doneBytes, totalBytes),
      });
      bar.end();
      const bytes = manifest.shards.reduce((sum, shard) => sum + shard.bytes, 0);
      printResult(
        options.json,
        { out: options.out, dtype: options.dtype, tensors: manifest.tensors.length, shards: manifest.shards, bytes },
        () =>
          `${options.out}: ${manifest.tensors.length} tensors, ${manifest.shards.length} shards, ${formatBytes(bytes)}`,
      );
    });
}
