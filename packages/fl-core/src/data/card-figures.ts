import type { RejectedRow } from './row.ts';

/** Smallest, middle and largest of a set of lengths, and all of them together. */
export interface LengthSummary {
  readonly min: number;
  readonly median: number;
  readonly max: number;
  readonly total: number;
}

/** Null for no lengths. The median of an even number of lengths is the upper of the two in the middle. */
export function summariseLengths(lengths: readonly number[]): LengthSummary | null {
  const sorted = Float64Array.from(lengths).sort();
  const [min, median, max] = [sorted[0], sorted[sorted.length >> 1], sorted.at(-1)];
  if (min === undefined || median === undefined || max === undefined) return null;
  return { min, median, max, total: sorted.reduce((sum, length) => sum + length, 0) };
}

/** How many lengths there are from `from` up to, but not, `to`. */
export interface HistogramBin {
  readonly from: number;
  readonly to: number;
  readonly count: number;
}

/**
 * Counts whole lengths in bins of equal width from the shortest to the longest, bins without any between them included: the
 * smallest width of 1, 2 or 5 times a power of ten that needs no more than `maxBins`. Empty without lengths.
 */
export function lengthHistogram(lengths: readonly number[], maxBins = 20): HistogramBin[] {
  const range = summariseLengths(lengths);
  if (!range) return [];
  const width = binWidth(range.min, range.max, maxBins);
  const first = Math.floor(range.min / width);
  const counts = new Array<number>(Math.floor(range.max / width) - first + 1).fill(0);
  for (const length of lengths) {
    const bin = Math.floor(length / width) - first;
    counts[bin] = (counts[bin] ?? 0) + 1;
  }
  return counts.map((count, bin) => ({ from: (first + bin) * width, to: (first + bin + 1) * width, count }));
}

function binWidth(min: number, max: number, maxBins: number): number {
  const fits = (width: number): boolean => Math.floor(max / width) - Math.floor(min / width) < maxBins;
  for (let power = 1; ; power *= 10) {
    const width = [1, 2, 5].map((step) => step * power).find(fits);
    if (width !== undefined) return width;
  }
}

/** Rows that were left out for one reason. */
export interface RejectionGroup {
  /** Completes "row …", in the words of the first of them. */
  readonly reason: string;
  readonly count: number;
  /** Where they begin in the file, the first ones. */
  readonly lines: readonly number[];
}

const FIRST_LINES = 20;

/** Rejected rows by reason, the most frequent first. Reasons that differ only in their numbers are one. */
export function groupRejections(rejected: readonly RejectedRow[], firstLines: number = FIRST_LINES): RejectionGroup[] {
  const groups = new Map<string, { reason: string; count: number; lines: number[] }>();
  for (const { line, reason } of [...rejected].sort((a, b) => a.line - b.line)) {
    const key = reason.replace(/\d+/g, '#');
    const group = groups.get(key) ?? { reason, count: 0, lines: [] };
    groups.set(key, group);
    group.count++;
    if (group.lines.length < firstLines) group.lines.push(line);
  }
  return [...groups.values()].sort((a, b) => b.count - a.count);
}

/** What rows become under a model's tokenizer. */
export interface TokenFigures {
  /** Tokens of a row, prompt and response with BOS and EOS; of a preference pair the longer side. */
  readonly lengths: LengthSummary | null;
  readonly histogram: readonly HistogramBin[];
  readonly maxSeqLength: number;
  /** Rows longer than `maxSeqLength`, which training cuts or leaves out. */
  readonly tooLongRows: number;
}

/** Figures of token lengths as they are before any is cut. */
export function tokenFigures(lengths: readonly number[], maxSeqLength: number): TokenFigures {
  return {
    lengths: summariseLengths(lengths),
    histogram: lengthHistogram(lengths),
    maxSeqLength,
    tooLongRows: lengths.filter((length) => length > maxSeqLength).length,
  };
}
