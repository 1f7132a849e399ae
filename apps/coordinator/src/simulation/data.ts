import {
  createRng,
  FlError,
  type Preset,
  parseRows,
  partitionRows,
  presetRows,
  rowCount,
  selectRows,
  type TaskRows,
  type TrainingData,
  tokeniseTraining,
} from '@cotune/fl-core';
import { type HeldOutSet, heldOutSet } from '../evaluator/measure.ts';
import type { ModelText } from '../participant/model-text.ts';
import type { ExperimentConfig, SourceSettings } from './config.ts';
import { clientsOf } from './config.ts';
import { dataHash } from './data-hash.ts';
import { promptsOf, splitOff, withoutPrompts } from './held-out.ts';

/** A data file, wherever it comes from. */
export interface OpenedSource {
  readonly bytes: Uint8Array;
  readonly fileName: string;
  /** How its rows are read and chosen, where it is a preset. */
  readonly preset?: Preset;
}
export type OpenSource = (from: string) => Promise<OpenedSource>;

/** The rows of an experiment, tokenised once for all its cells. */
export interface ExperimentData {
  /** The training rows of every source, one source behind the other. */
  readonly train: TrainingData;
  /** For each source the range of its rows in `train`, and what rows are dealt by. */
  readonly sources: readonly {
    readonly first: number;
    readonly labels: readonly string[];
    readonly column: readonly string[] | undefined;
  }[];
  readonly heldOut: HeldOutSet | null;
  /** Training rows that were left out, since their prompt is a held-out one. */
  readonly overlappingRows: number;
  /** Of all tokens, and of what rows are dealt by (`dataHash`). */
  readonly sha256: string;
}

/**
 * Reads, samples and tokenises the data of an experiment. What cannot be used is told to `onNotice`. Throws FlError
 * 'invalid' when nothing is left or a seed's rows cannot be dealt, and what the reader of the file throws.
 */
export async function readExperimentData(
  config: ExperimentConfig,
  options: { text: ModelText; open: OpenSource; onNotice: (message: string) => void },
): Promise<ExperimentData> {
  const { open, onNotice, text } = options;
  const { tokenizer } = text;
  const how = await text.opened(config.run);
  const { heldOut, seed } = config.data;
  const column = config.partition.kind === 'column' ? config.partition.column : undefined;
  const read = (source: SourceSettings, name: string, column?: string) =>
    readSource(source, { config, open, onNotice, column, seed: `${seed}/${name}` });
  // Held-out rows of their own are never dealt, and need not have what rows are dealt by.
  const held: TaskRows[] = heldOut && 'from' in heldOut ? [await read(heldOut, 'held-out')] : [];
  const trained: TaskRows[] = [];
  for (const [i, source] of config.data.train.entries()) {
    const rows = await read(source, `train/${i}`, column);
    if (!(heldOut && 'share' in heldOut)) trained.push(rows);
    else {
      const apart = splitOff(rows, heldOut.share, `${seed}/share/${i}`);
      held.push(apart.heldOut);
      trained.push(apart.rest);
    }
  }
  const prompts = new Set(held.flatMap(promptsOf));
  const parts: TrainingData[] = [];
  const sources: ExperimentData['sources'][number][] = [];
  let first = 0;
  let overlappingRows = 0;
  for (const [i, { from }] of config.data.train.entries()) {
    const { rest, left } = withoutPrompts(trained[i] as TaskRows, prompts);
    overlappingRows += left;
    if (left > 0) onNotice(`${from}: ${left} rows left out of training; their prompt is that of a held-out row`);
    const { data, kept, rejected } = tokeniseTraining(rest, how, tokenizer);
    if (rejected[0]) onNotice(`${from}: ${rejected.length} rows left out; ${described(rejected[0])}`);
    if (rowCount(data) === 0) throw new FlError('invalid', `${from} has no usable training row${nothingLeft(left)}`);
    parts.push(data);
    sources.push({ first, ...dealtBy(kept, column) });
    first += rowCount(data);
  }
  const train = concatenated(parts);
  const set = held.length > 0 ? heldOutSet(joined(held), how, tokenizer) : null;
  const clients = config.data.train.map((source) => source.clients);
  const sha256 = dataHash({ train, sources, heldOut: set }, clients);
  const data = { train, sources, heldOut: set, overlappingRows, sha256 };
  requireDealable(data, config);
  return data;
}

/** Before the model is loaded: every cell of a seed whose rows cannot be dealt would fail. */
function requireDealable(data: ExperimentData, config: ExperimentConfig): void {
  for (const seed of config.seeds) dealRows(data, config, seed);
}

const nothingLeft = (left: number): string =>
  left > 0 ? ` but ${left} whose prompt is that of a held-out row: hold out other rows` : '';

/** Rows of each client in a cell of this seed: indices into `train`. A source that one client has alone keeps its order. */
export function dealRows({ sources }: ExperimentData, config: ExperimentConfig, seed: number): number[][] {
  const { train } = config.data;
  const together = train[0]?.clients === undefined;
  const groups = together
    ? [{ clients: clientsOf(config), rows: sources.flatMap((source) => rowsOf(source)) }]
    : sources.map((source, i) => ({ clients: train[i]?.clients ?? 1, rows: rowsOf(source) }));
  return groups.flatMap(({ clients, rows }, group) => {
    if (clients === 1) return [rows.map(({ index }) => index)];
    const labels = rows.map(({ label }) => label);
    const column = rows[0]?.owner === undefined ? undefined : rows.map(({ owner }) => owner ?? '');
    const parts = partitionRows(config.partition, { labels, column }, clients, together ? seed : `${seed}/${group}`);
    return parts.map((part) => part.map((i) => (rows[i] as (typeof rows)[number]).index));
  });
}

/** The rows at these indices, in their order. */
export function selectData(data: TrainingData, indices: readonly number[]): TrainingData {
  const of = <Row>(rows: readonly Row[]): Row[] => indices.map((index) => rows[index] as Row);
  return data.task === 'dpo' ? { task: 'dpo', pairs: of(data.pairs) } : { task: 'sft', examples: of(data.examples) };
}

async function readSource(
  { from, maxRows, ...reading }: SourceSettings,
  how: {
    config: ExperimentConfig;
    open: OpenSource;
    onNotice: (message: string) => void;
    column: string | undefined;
    seed: string;
  },
): Promise<TaskRows> {
  const { bytes, fileName, preset } = await how.open(from);
  const { task } = how.config.run;
  if (preset && preset.task !== task)
    throw new FlError('invalid', `${from} is for the task ${preset.task}, the run's task is ${task}`);
  const parsed = await parseRows(task, bytes, {
    ...preset?.parse,
    ...reading,
    fileName,
    keepColumns: how.column === undefined ? undefined : [how.column],
  });
  const [bad] = parsed.rejected;
  if (bad) how.onNotice(`${from}: ${parsed.rejected.length} rows rejected; ${described(bad)}`);
  const count = parsed.rows.length;
  const all = Array.from({ length: count }, (_, i) => i);
  if (preset) return selectRows(parsed, presetRows(preset, all, maxRows));
  if (maxRows === undefined || maxRows >= count) return parsed;
  return selectRows(parsed, drawn(count, maxRows, how.seed));
}

const described = ({ line, reason }: { line: number; reason: string }): string => `the first, line ${line}, ${reason}`;

/** `take` of the numbers below `count`, in ascending order. */
const drawn = (count: number, take: number, seed: string): number[] =>
  createRng(seed)
    .shuffle(Array.from({ length: count }, (_, i) => i))
    .slice(0, take)
    .sort((a, b) => a - b);

/** The class of a row is its response; preference pairs have none. */
function dealtBy(kept: TaskRows, column: string | undefined) {
  const labels = kept.task === 'sft' ? kept.rows.map(({ response }) => response) : kept.rows.map(() => '');
  if (column === undefined) return { labels, column: undefined };
  return { labels, column: kept.rows.map(({ columns }) => columns?.[column] ?? '') };
}

const rowsOf = ({ first, labels, column }: ExperimentData['sources'][number]) =>
  labels.map((label, i) => ({ index: first + i, label, owner: column?.[i] }));

function concatenated(parts: readonly TrainingData[]): TrainingData {
  if (parts.every((part) => part.task === 'dpo')) return { task: 'dpo', pairs: parts.flatMap(({ pairs }) => pairs) };
  return { task: 'sft', examples: parts.flatMap((part) => (part.task === 'sft' ? part.examples : [])) };
}

function joined(parts: readonly TaskRows[]): TaskRows {
  if (parts.every((part) => part.task === 'dpo')) return { task: 'dpo', rows: parts.flatMap(({ rows }) => rows) };
  return { task: 'sft', rows: parts.flatMap((part) => (part.task === 'sft' ? part.rows : [])) };
}
