import { groupRejections, type LengthSummary, type RejectionGroup, summariseLengths } from './card-figures.ts';
import type { PreferenceRow } from './parse-preferences.ts';
import type { Container } from './records.ts';
import type { DataRow, RejectedRow } from './row.ts';

/** What every import counts, whatever the task. */
interface ImportFigures {
  readonly rows: number;
  readonly rejectedRows: number;
  /** Why rows were rejected, the most frequent reason first. */
  readonly rejections: readonly RejectionGroup[];
  readonly emptyRows: number;
  readonly duplicateRows: number;
  /** How many rows have how many questions, fewest questions first: one for a single question and its answer. */
  readonly questions: readonly { readonly questions: number; readonly rows: number }[];
  /** Lengths are in UTF-16 code units, of the whole dialogue up to the answer; null without rows. */
  readonly promptChars: LengthSummary | null;
}

/**
 * What a data file is, in numbers: safe to show to anyone who may not see the rows. The labels of a classification set are
 * the only words of the data in it, and only short ones that recur.
 */
export interface DatasetCard extends ImportFigures {
  readonly fileName: string;
  readonly fileBytes: number;
  readonly container: Container;
  readonly responseChars: LengthSummary | null;
  /** How often each response occurs, most often first, when there are few: the classes of a classification set. */
  readonly responseCounts: readonly { readonly response: string; readonly count: number }[] | null;
}

/** The same for preference pairs. */
export interface PreferenceCard extends ImportFigures {
  readonly chosenChars: LengthSummary | null;
  readonly rejectedChars: LengthSummary | null;
  /** Pairs whose preferred answer is the longer one: far from half of them, length alone tells which was preferred. */
  readonly longerChosenRows: number;
}

interface ImportCounts {
  readonly emptyRows: number;
  readonly duplicateRows: number;
  readonly rejected: readonly RejectedRow[];
}

const MAX_CLASSES = 20;
const MAX_CLASS_CHARS = 40;

/** Summarises rows for supervised fine-tuning. */
export function datasetCard(
  rows: readonly DataRow[],
  { rejected, ...file }: ImportCounts & Pick<DatasetCard, 'fileName' | 'fileBytes' | 'container'>,
): DatasetCard {
  return {
    ...file,
    rows: rows.length,
    rejectedRows: rejected.length,
    rejections: groupRejections(rejected),
    questions: countBy(rows.map(({ history = [] }) => history.length + 1)),
    promptChars: summariseLengths(
      rows.map(({ history = [], prompt }) =>
        history.reduce((sum, turn) => sum + turn.prompt.length + turn.response.length, prompt.length),
      ),
    ),
    responseChars: summariseLengths(rows.map(({ response }) => response.length)),
    responseCounts: countResponses(rows),
  };
}

/** Summarises preference pairs. */
export function preferenceCard(
  rows: readonly PreferenceRow[],
  { rejected, emptyRows, duplicateRows }: ImportCounts,
): PreferenceCard {
  return {
    rows: rows.length,
    rejectedRows: rejected.length,
    rejections: groupRejections(rejected),
    emptyRows,
    duplicateRows,
    questions: countBy(rows.map(({ turns }) => (turns.length + 1) / 2)),
    promptChars: summariseLengths(rows.map(({ turns }) => turns.reduce((sum, turn) => sum + turn.length, 0))),
    chosenChars: summariseLengths(rows.map(({ chosen }) => chosen.length)),
    rejectedChars: summariseLengths(rows.map((row) => row.rejected.length)),
    longerChosenRows: rows.filter((row) => row.chosen.length > row.rejected.length).length,
  };
}

/** Null unless the responses are short, few, and each about twice there or more: then they are labels. */
function countResponses(rows: readonly DataRow[]): DatasetCard['responseCounts'] {
  const counts = new Map<string, number>();
  for (const { response } of rows) {
    if (response.length > MAX_CLASS_CHARS) return null;
    counts.set(response, (counts.get(response) ?? 0) + 1);
    if (counts.size > MAX_CLASSES) return null;
  }
  if (rows.length === 0 || counts.size * 2 > rows.length) return null;
  return [...counts].map(([response, count]) => ({ response, count })).sort((a, b) => b.count - a.count);
}

function countBy(questions: readonly number[]): ImportFigures['questions'] {
  const counts = new Map<number, number>();
  for (const value of questions) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort((a, b) => a[0] - b[0]).map(([value, rows]) => ({ questions: value, rows }));
}
