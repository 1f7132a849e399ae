import { existsSync } from 'node:fs';
import { rmdir } from 'node:fs/promises';
import { quantizeModel } from '@cotune/kernels';
import { directorySink, directorySource } from '@cotune/kernels/node';
import { Command } from 'commander';
import { openFiles, type WeightDtype } from './model.ts';
import { oneOf } from './options.ts';
import { formatBytes, printResult, progressBar, UserError } from './output.ts';
import { requireWritable } from './write-files.ts';

interface QuantizeOptions {
  from: string;
  out: string;
  dtype: WeightDtype;
  json?: boolean;
}

/**
 * `cotune quantize`: Hugging Face safetensors become a model directory that tabs can download. Killed and called again, it goes
 * on after the last complete shard.
 */
export function quantizeCommand(): Command {
  return new Command('quantize')
    .description('make a model directory from Hugging Face safetensors, in memory that does not grow with it')
    .requiredOption(
      '--from <source>',
      'Hugging Face directory (config.json, *.safetensors, tokenizer.json), http(s) address of one, or hub id owner/name[@revision]',
    )
    .requiredOption('--out <dir>', 'directory to write')
    .option('--dtype <dtype>', 'linear weights: int8 or f32', oneOf(['int8', 'f32']), 'int8')
    .option('--json', 'print one JSON object')
    .action(async (options: QuantizeOptions) => {
      if (existsSync(`${options.out}/model.json`)) {
        throw new UserError(`${options.out} already holds a model directory: choose another --out or remove it`);
      }
      const from = await openFiles(options.from);
      const isNew = !existsSync(options.out);
      await requireWritable(options.out);
      const bar = progressBar('quantising');
      const manifest = await quantizeModel(from, directorySink(options.out), {
        dtype: options.dtype,
        resume: directorySource(options.out),
        ...(existsSync(options.from) ? {} : { source: from.label }),
        onProgress: bar.transfer,
      }).catch(async (error: NodeJS.ErrnoException) => {
        if (isNew) await rmdir(options.out).catch(() => undefined); // stays where something was written
        if (error.syscall !== 'write' && error.syscall !== 'fsync') throw error;
        throw new UserError(`cannot write to ${options.out}: ${error.message}`); // which does not name the file
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
