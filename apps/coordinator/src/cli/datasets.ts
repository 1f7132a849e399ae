import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { PRESETS, type Preset, type PresetFile, presetFileUrl } from '@cotune/fl-core';
import { Command } from 'commander';
import { shownAddress } from '../data-source/address.ts';
import { openDataSource, presetDirectory, presetFilePath, requirePreset } from '../data-source/open.ts';
import { formatBytes, printResult, UsageError } from './output.ts';

/** `cotune datasets`: public data sets by name, and where their files are. */
export function datasetsCommand(): Command {
  return new Command('datasets')
    .description('public training sets by name: source, licence, rows; use one as preset:ID')
    .argument('[id]', 'one of them, with its addresses and the place of its files on this machine')
    .option('--download', 'fetch the files of the one named')
    .option('--json', 'print one JSON object')
    .action(async (id: string | undefined, options: { download?: boolean; json?: boolean }) => {
      if (id === undefined) {
        if (options.download) throw new UsageError('--download fetches one data set: give its id');
        return printResult(options.json, { presets: PRESETS.map(describe) }, () => PRESETS.map(presetLine).join('\n'));
      }
      const preset = requirePreset(id);
      const source = options.download ? await openDataSource(`preset:${id}`, process.cwd()) : undefined;
      const fetched = source ? { bytes: source.bytes.byteLength, sha256: source.sha256 } : {};
      printResult(options.json, { ...describe(preset), ...fetched }, () =>
        [
          ...presetText(preset),
          ...(source ? [`${formatBytes(source.bytes.byteLength)}, sha256 ${source.sha256}`] : []),
        ].join('\n'),
      );
    });
}

const shownUrl = (file: PresetFile): string => shownAddress(presetFileUrl(file, process.env.HF_ENDPOINT));

function describe(preset: Preset): object {
  const files = preset.files.map((file) => {
    const path = presetFilePath(preset, file);
    return { url: shownUrl(file), path, present: existsSync(path) };
  });
  return { ...preset, files };
}

function presetLine(preset: Preset): string {
  const { id, task, rowsExpected, title, files } = preset;
  const present = files.every((file) => existsSync(presetFilePath(preset, file)));
  return `${id.padEnd(21)} ${task}  ${String(rowsExpected).padStart(6)} rows  ${present ? 'here' : '    '}  ${title}`;
}

function presetText(preset: Preset): string[] {
  const { dropColumns = [], dedupe } = preset.parse;
  return [
    `${preset.id}: ${preset.title}`,
    `task      ${preset.task === 'sft' ? 'supervised fine-tuning' : 'preferences (dpo)'}`,
    `rows      ${preset.rowsExpected}; published runs take ${preset.sample} after shuffling`,
    `licence   ${preset.licence ?? 'not stated by its data card: ask its owners'}`,
    ...(dropColumns.length > 0 ? [`reading   without the columns ${dropColumns.join(', ')}`] : []),
    ...(dedupe === 'prompt' ? ['reading   the first row of each prompt'] : []),
    ...(preset.usedBy.length > 0 ? [`used by   ${preset.usedBy.join(', ')}`] : []),
    ...preset.files.map((file) => `address   ${shownUrl(file)}`),
    `kept in   ${join(presetDirectory(preset), '/')}`,
  ];
}
