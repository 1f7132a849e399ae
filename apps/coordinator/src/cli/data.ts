import {
  type ParsedRows,
  parseRows,
  presetRows,
  type RunConfig,
  rowCount,
  selectRows,
  type TrainingData,
  tokeniseTraining,
} from '@cotune/fl-core';
import { shownAddress } from '../data-source/address.ts';
import type { DataSource } from '../data-source/open.ts';
import type { ModelText } from '../participant/model-text.ts';
import type { Columns } from './column-map.ts';
import { note, UserError } from './output.ts';
import { reportRejected } from './rejected-rows.ts';
import { collectRows } from './row-files.ts';
import { collectTokenRows, parseTokenRow, type TokenLimits } from './token-rows.ts';

type Task = RunConfig['task'];

const WORDS = {
  sft: {
    rows: 'rows',
    none: 'no usable training row',
    help: 'rejected rows are listed above with the reason; the README names the formats',
  },
  dpo: {
    rows: 'pairs',
    none: 'no usable preference pair',
    help: 'expected prompt, chosen and rejected, or HH-RLHF transcripts',
  },
} as const satisfies Record<Task, object>;

/**
 * Reads and tokenises data of a task (files, presets, addresses), whatever their formats or as `mapping` says; rejected rows
 * are listed, never fatal. Throws UserError when nothing is left, DataError for a file that is of no use as a whole.
 */
export async function loadTrainingData(
  { sources, mapping }: { readonly sources: readonly string[]; readonly mapping?: Columns | undefined },
  config: Pick<RunConfig, 'task' | 'dpo' | 'template' | 'maxSeqLength'>,
  text: ModelText,
): Promise<TrainingData> {
  const { task } = config;
  const how = await text.opened(config);
  const collected = await collectRows(sources, async (source) => {
    const parsed = await readSource(task, source, mapping);
    const { data, truncatedRows, rejected } = tokeniseTraining(parsed, how, text.tokenizer);
    return { rows: [data], truncatedRows, rejected: [...parsed.rejected, ...rejected] };
  });
  const { rows: parts, rejected, truncatedRows } = collected;
  const words = WORDS[task];
  if (truncatedRows > 0) note(`${truncatedRows} ${words.rows} were cut at ${config.maxSeqLength} tokens`);
  reportRejected(rejected);
  const data = joined(task, parts);
  if (rowCount(data) === 0)
    throw new UserError(`${words.none} in ${sources.map(shownAddress).join(', ')}: ${words.help}`);
  return data;
}

/** Of a preset the rows that published runs take of it. */
async function readSource(
  task: Task,
  { bytes, fileName, preset }: DataSource,
  mapping: Columns | undefined,
): Promise<ParsedRows> {
  if (preset && preset.task !== task) {
    throw new UserError(`preset:${preset.id} is for the task ${preset.task}, the task here is ${task}`);
  }
  const parsed = await parseRows(task, bytes, { ...preset?.parse, fileName, mapping });
  if (!preset) return parsed;
  const all = parsed.rows.map((_, i) => i);
  const taken = presetRows(preset, all);
  if (taken.length < all.length) note(`${taken.length} of the ${all.length} rows of preset:${preset.id} are taken`);
  return { ...parsed, ...selectRows(parsed, taken) };
}

function joined(task: Task, parts: readonly TrainingData[]): TrainingData {
  if (task === 'dpo') return { task, pairs: parts.flatMap((part) => (part.task === 'dpo' ? part.pairs : [])) };
  return { task, examples: parts.flatMap((part) => (part.task === 'sft' ? part.examples : [])) };
}

/**
 * Reads pre-tokenised rows: `{"input_ids": […], "labels": […]}`, for preference pairs
 * `{"chosen_input_ids", "chosen_labels", "rejected_input_ids", "rejected_labels"}`.
 */
export async function loadTokenRows(file: string, task: Task, limits: TokenLimits): Promise<TrainingData> {
  const { data, rejected, fields } = task === 'dpo' ? await readPairs(file, limits) : await readExamples(file, limits);
  reportRejected(rejected);
  if (rowCount(data) === 0) throw new UserError(`no usable row of {${fields}} in ${file}`);
  return data;
}

async function readExamples(file: string, limits: TokenLimits) {
  const { rows, rejected } = await collectTokenRows(file, (row) => parseTokenRow(row.input_ids, row.labels, limits));
  const data: TrainingData = { task: 'sft', examples: rows };
  return { data, rejected, fields: '"input_ids", "labels"' };
}

async function readPairs(file: string, limits: TokenLimits) {
  const { rows, rejected } = await collectTokenRows(file, (row) => {
    const chosen = parseTokenRow(row.chosen_input_ids, row.chosen_labels, limits, 'chosen_');
    if (typeof chosen === 'string') return chosen;
    const other = parseTokenRow(row.rejected_input_ids, row.rejected_labels, limits, 'rejected_');
    return typeof other === 'string' ? other : { chosen, rejected: other };
  });
  const data: TrainingData = { task: 'dpo', pairs: rows };
  return { data, rejected, fields: '"chosen_input_ids", …, "rejected_labels"' };
}
