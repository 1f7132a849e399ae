import type { Container } from './records.ts';
import type { DataRow } from './row.ts';

/** Smallest, middle and largest of a set of lengths. */
export interface LengthSummary {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

/** What a data file is, in numbers alone: safe to show to anyone who may not see the rows. */
export interface DatasetCard {
  readonly fileName: string;
  readonly fileBytes: number;
  readonly container: Container;
  readonly rows: number;
  readonly rejectedRows: number;
  readonly emptyRows: number;
  readonly duplicateRows: number;
  /** In UTF-16 code units; null without rows. */
  readonly promptChars: LengthSummary | null;
  readonly responseChars: LengthSummary | null;
  /** How often each response occurs, most often first, when there are few: the classes of a classification set. */
  readonly responseCounts: readonly { readonly response: string; readonly count: number }[] | null;
}

const MAX_CLASSES = 20;

/** Summarises parsed rows. */
export function datasetCard(
  rows: readonly DataRow[],
  file: Pick<DatasetCard, 'fileName' | 'fileBytes' | 'container' | 'rejectedRows' | 'emptyRows' | 'duplicateRows'>,
): DatasetCard {
  const counts = new Map<string, number>();
  for (const { response } of rows) {
    counts.set(response, (counts.get(response) ?? 0) + 1);
    if (counts.size > MAX_CLASSES) break;
  }
  const few = rows.length > 0 && counts.size <= MAX_CLASSES && counts.size * 2 <= rows.length;
  return {
    ...file,
    rows: rows.length,
    promptChars: summarise(rows.map(({ prompt }) => prompt.length)),
    responseChars: summarise(rows.map(({ response }) => response.length)),
    responseCounts: few
      ? [...counts].map(([response, count]) => ({ response, count })).sort((a, b) => b.count - a.count)
      : null,
  };
}

function summarise(lengths: number[]): LengthSummary | null {
  const sorted = Float64Array.from(lengths).sort();
  const [min, median, max] = [sorted[0], sorted[sorted.length >> 1], sorted.at(-1)];
  return min === undefined || median === undefined || max === undefined ? null : { min, median, max };
}
