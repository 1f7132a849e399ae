import {
  groupRejections,
  lengthHistogram,
  parseRows,
  rowCount,
  summariseLengths,
  type TaskRows,
  type TrainingData,
  tokeniseTraining,
  tokenLengths,
} from '@cotune/fl-core';
import { type ColumnChoice, mappingOf } from './columns.ts';
import type { DataReport, DataSettings, PreviewRow } from './messages.ts';
import type { ModelText } from './model-text.ts';

const PREVIEW_ROWS = 5;
const PREVIEW_CHARS = 400;

/** An owner's data, ready to train on. */
export interface LocalData {
  readonly data: TrainingData;
  readonly rows: TaskRows;
  readonly report: DataReport;
}

/**
 * Parses and tokenises a file for the run's task, as its own names or the chosen columns say. Bad rows are listed by line;
 * throws DataError only when the whole file is of no use.
 */
export async function readDataset(
  file: { readonly name: string; readonly bytes: Uint8Array },
  columns: ColumnChoice | null,
  model: ModelText,
  settings: DataSettings,
): Promise<LocalData> {
  const { task, dpo, maxSeqLength } = settings;
  const how = { dpo, maxSeqLength, template: await model.template(settings.template) };
  const mapping = columns ? mappingOf(task, columns) : undefined;
  const parsed = await parseRows(task, file.bytes, { fileName: file.name, mapping });
  const { data, kept, rejected, truncatedRows } = tokeniseTraining(parsed, how, model.tokenizer);
  const left = [...parsed.rejected, ...rejected];
  const { lengths, total } = tokenLengths(data);
  const { median = 0, max = 0 } = summariseLengths(lengths) ?? {};
  return {
    data,
    rows: kept,
    report: {
      task,
      name: file.name,
      bytes: file.bytes.byteLength,
      format: parsed.format,
      columns,
      preview: previewRows(kept, lengths),
      examples: rowCount(data),
      rejections: groupRejections(left),
      rejectedCount: left.length,
      emptyRows: parsed.emptyRows,
      duplicates: parsed.duplicateRows,
      answerCounts: parsed.answerCounts,
      tokens: { total, median, max, truncated: truncatedRows, histogram: lengthHistogram(lengths) },
    },
  };
}

/** The first rows; `lengths` are those of all of them. */
export function previewRows(kept: TaskRows, lengths: readonly number[]): readonly PreviewRow[] {
  const cut = (text: string) => text.slice(0, PREVIEW_CHARS);
  const first = <Row>(rows: readonly Row[], show: (row: Row) => Omit<PreviewRow, 'tokens'>) =>
    rows.slice(0, PREVIEW_ROWS).map((row, i) => ({ ...show(row), tokens: lengths[i] ?? 0 }));
  if (kept.task === 'sft') {
    return first(kept.rows, ({ history = [], prompt, response, line }) => ({
      line,
      earlier: history.slice(-1).map((turn) => cut(`${turn.prompt} → ${turn.response}`)),
      earlierTurns: history.length,
      prompt: cut(prompt),
      answers: [cut(response)],
    }));
  }
  return first(kept.rows, ({ turns, chosen, rejected, line }) => ({
    line,
    earlier: turns.length > 1 ? [cut(turns.slice(-3, -1).join(' → '))] : [],
    earlierTurns: (turns.length - 1) / 2,
    prompt: cut(turns.at(-1) ?? ''),
    answers: [cut(chosen), cut(rejected)],
  }));
}
