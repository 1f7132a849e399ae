import { join } from 'node:path';
import { peftFiles } from '@cotune/kernels';
import { Command } from 'commander';
import { openAdapter, openModelFiles } from './model.ts';
import { oneOf } from './options.ts';
import { printResult } from './output.ts';
import { requireWritable, writeWhole } from './write-files.ts';

interface ExportOptions {
  model: string;
  adapter: string;
  format: 'peft';
  out: string;
  json?: boolean;
}

/** `cotune export`: leave with the result. */
export function exportCommand(): Command {
  return new Command('export')
    .description('write an adapter in a format that other tools read')
    .requiredOption('--model <dir>', 'model directory the adapter belongs to')
    .requiredOption('--adapter <dir>', 'adapter directory')
    .requiredOption('--out <dir>', 'directory to write')
    .option('--format <format>', 'peft', oneOf(['peft']), 'peft')
    .option('--json', 'print one JSON object')
    .action(async (options: ExportOptions) => {
      const source = await openModelFiles(options.model, 'int8');
      const { layout, vector } = await openAdapter(options.adapter, source);
      await writePeft(options.out, layout, vector, options.model);
      printResult(
        options.json,
        { out: options.out, format: options.format, tensors: layout.tensors.length, parameters: layout.length },
        () => `${options.out}: ${layout.tensors.length} tensors, ${layout.length} parameters`,
      );
    });
}

/** Writes a PEFT directory. Throws UserError. */
export async function writePeft(
  directory: string,
  layout: Parameters<typeof peftFiles>[0],
  vector: Float32Array,
  baseModel: string,
): Promise<void> {
  await requireWritable(directory);
  for (const [name, content] of Object.entries(peftFiles(layout, vector, { baseModel }))) {
    await writeWhole(join(directory, name), content);
  }
}
