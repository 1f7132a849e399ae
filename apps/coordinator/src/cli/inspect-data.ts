import {
  type DatasetCard,
  type HistogramBin,
  type LengthSummary,
  type PreferenceCard,
  parseDataset,
  parsePreferences,
  preferenceCard,
  type RejectedRow,
  type TemplateChoice,
  type TokenFigures,
  tokenFigures,
  tokenizePairs,
  tokenizeRows,
} from '@cotune/fl-core';
import { type DataSource, openDataSource } from '../data-source/open.ts';
import { openModelText } from '../participant/model-text.ts';
import type { Columns } from './column-map.ts';
import { openModelFiles } from './model.ts';
import { formatBytes } from './output.ts';
import type { TASKS } from './train-options.ts';

export interface InspectDataOptions {
  readonly task?: (typeof TASKS)[number] | undefined;
  /** Whose tokenizer counts tokens. */
  readonly model?: string | undefined;
  readonly template: TemplateChoice;
  readonly map?: Columns | undefined;
  readonly seq: number;
}

interface CommonReport {
  readonly kind: 'data';
  readonly file: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly preset?: string;
  readonly format: string | null;
  readonly rows: number;
  readonly rejected: number;
  readonly rejectedRows: readonly RejectedRow[];
  readonly tokens?: TokenFigures;
}

export type DataReport = CommonReport &
  ({ readonly task: 'sft'; readonly card: DatasetCard } | { readonly task: 'dpo'; readonly card: PreferenceCard });

/** The card of a data file, read for the task that is asked for or, by default, the one that has rows in it. */
export async function inspectData(from: string, options: InspectDataOptions): Promise<DataReport> {
  const source = await openDataSource(from, process.cwd());
  const mapped = options.map && ('chosen' in options.map ? 'dpo' : 'sft');
  const task = options.task ?? mapped ?? source.preset?.task;
  if (task === 'dpo') return inspectPairs(source, options);
  if (task === 'sft') return inspectRows(source, options);
  const report = await inspectRows(source, options);
  if (report.rows > 0) return report;
  const pairs = await inspectPairs(source, options);
  return pairs.rows > 0 ? pairs : report;
}

async function inspectRows(source: DataSource, options: InspectDataOptions): Promise<DataReport> {
  const { fileName, bytes, preset } = source;
  const { format, rows, rejected, card } = await parseDataset(bytes, {
    ...preset?.parse,
    fileName,
    mapping: options.map,
  });
  const tokens = await countTokens(options, (settings) =>
    tokenizeRows(rows, settings).examples.map(({ inputIds }) => inputIds.length),
  );
  return { ...common(source, { format, rows, rejected }), task: 'sft', card, ...tokens };
}

async function inspectPairs(source: DataSource, options: InspectDataOptions): Promise<DataReport> {
  const { fileName, bytes, preset } = source;
  const { format, rows, rejected, ...counts } = await parsePreferences(bytes, {
    ...preset?.parse,
    fileName,
    mapping: options.map,
  });
  const card = preferenceCard(rows, { ...counts, rejected });
  const tokens = await countTokens(options, (settings) =>
    tokenizePairs(rows, settings).pairs.map((pair) =>
      Math.max(pair.chosen.inputIds.length, pair.rejected.inputIds.length),
    ),
  );
  return { ...common(source, { format, rows, rejected }), task: 'dpo', card, ...tokens };
}

function common(
  { fileName, bytes, sha256, preset }: DataSource,
  read: { format: string | null; rows: readonly unknown[]; rejected: readonly RejectedRow[] },
): CommonReport {
  return {
    kind: 'data',
    file: fileName,
    bytes: bytes.byteLength,
    sha256,
    ...(preset ? { preset: preset.id } : {}),
    format: read.format,
    rows: read.rows.length,
    rejected: read.rejected.length,
    rejectedRows: read.rejected.slice(0, 20),
  };
}

async function countTokens(
  { model, template, seq }: InspectDataOptions,
  lengths: (settings: Parameters<typeof tokenizeRows>[1]) => number[],
): Promise<{ tokens?: TokenFigures }> {
  if (model === undefined) return {};
  const text = await openModelText(await openModelFiles(model, 'int8'));
  const settings = { tokenizer: text.tokenizer, template: await text.template(template) };
  // Nothing is cut, so that the figures say what would be.
  return { tokens: tokenFigures(lengths({ ...settings, maxSeqLength: Number.MAX_SAFE_INTEGER }), seq) };
}

/** The report as text, a figure a line. */
export function dataReportText(report: DataReport): string {
  const { card, tokens } = report;
  const what = report.task === 'sft' ? 'rows for supervised fine-tuning' : 'preference pairs';
  const lines = [
    `${report.file}: ${card.rows} ${what}${report.format ? ` (${report.format})` : ''}, ${formatBytes(report.bytes)}`,
    `sha256      ${report.sha256}`,
    `left out    ${card.rejectedRows} rejected, ${card.duplicateRows} duplicate, ${card.emptyRows} empty`,
    ...card.rejections.map(({ reason, count, lines: at }) => `  ${count} × ${reason} (row ${listOf(at, count)})`),
    ...lengthLine('prompts', card.promptChars),
  ];
  if (report.task === 'sft') {
    lines.push(...lengthLine('responses', report.card.responseChars));
    for (const { response, count } of report.card.responseCounts ?? []) {
      lines.push(`  ${percent(count, card.rows)} ${JSON.stringify(response)} (${count})`);
    }
  } else {
    lines.push(...lengthLine('chosen', report.card.chosenChars), ...lengthLine('rejected', report.card.rejectedChars));
    if (card.rows > 0)
      lines.push(`longer      ${percent(report.card.longerChosenRows, card.rows)} of the chosen answers`);
  }
  const dialogues = card.questions.filter(({ questions }) => questions > 1);
  if (dialogues.length > 0) {
    lines.push(`questions   ${card.questions.map(({ questions, rows }) => `${questions}: ${rows} rows`).join(', ')}`);
  }
  if (tokens) lines.push(...tokenLines(tokens, card.rows));
  return lines.join('\n');
}

function tokenLines({ lengths, histogram, maxSeqLength, tooLongRows }: TokenFigures, rows: number): string[] {
  if (!lengths) return [];
  return [
    `tokens      ${lengths.total} in all; ${spread(lengths)}`,
    `${`over ${maxSeqLength}`.padEnd(12)}${tooLongRows} of ${rows}`,
    ...histogram.map((bin) => histogramLine(bin, histogram)),
  ];
}

function histogramLine({ from, to, count }: HistogramBin, all: readonly HistogramBin[]): string {
  const most = all.reduce((max, bin) => Math.max(max, bin.count), 1);
  const width = String(all.at(-1)?.to ?? 0).length;
  const first = String(from).padStart(width);
  const range = to - from === 1 ? first : `${first} to ${String(to - 1).padStart(width)}`;
  return `  ${range} ${'█'.repeat(Math.ceil((count * 40) / most))} ${count}`.trimEnd();
}

const lengthLine = (name: string, lengths: LengthSummary | null): string[] =>
  lengths ? [`${name.padEnd(12)}${spread(lengths)} characters`] : [];
const spread = ({ min, median, max }: LengthSummary): string => `${min} to ${max}, median ${median}`;
const percent = (part: number, whole: number): string => `${((100 * part) / whole).toFixed(1)} %`;
const listOf = (lines: readonly number[], count: number): string =>
  `${lines.slice(0, 5).join(', ')}${count > Math.min(5, lines.length) ? ', …' : ''}`;
