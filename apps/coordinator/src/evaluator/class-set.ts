import { type DataRow, type TokeniseConfig, type Tokenizer, tokenizeRow } from '@cotune/fl-core';
import type { Probe, ScoredExample, TokenizedExample } from '@cotune/kernels';

/**
 * Held-out rows that are a classification. They are one when they have 2 to 20 distinct responses, each of one line and at most
 * 40 characters, and each the response of at least two rows; the responses are then the classes.
 */
export interface ClassSet {
  /** In the order of their code units. */
  readonly names: readonly string[];
  readonly rows: readonly ClassRow[];
}

/** A row that fits the length with every class; the others say nothing of classes. */
export interface ClassRow {
  /** Its place among the held-out examples. */
  readonly example: number;
  /** Index of the right class. */
  readonly truth: number;
  /** By class; the right one is the held-out example itself. */
  readonly candidates: readonly Candidate[];
}

export interface Candidate {
  /** The prompt, answered with the class. */
  readonly example: TokenizedExample;
  /** Where it parts from the right answer, and its token there; null where the two are cut into tokens too differently. */
  readonly parting: Probe | null;
}

const MAX_CLASSES = 20;
const MAX_CHARACTERS = 40;
const MIN_ROWS_EACH = 2;

/** The classes, or undefined when the responses are no classes. */
export function classNames(rows: readonly Pick<DataRow, 'response'>[]): readonly string[] | undefined {
  const counts = new Map<string, number>();
  for (const { response } of rows) {
    if (response.length > MAX_CHARACTERS || response.includes('\n')) return undefined;
    counts.set(response, (counts.get(response) ?? 0) + 1);
    if (counts.size > MAX_CLASSES) return undefined;
  }
  const repeated = [...counts.values()].every((count) => count >= MIN_ROWS_EACH);
  return counts.size >= 2 && repeated ? [...counts.keys()].sort() : undefined;
}

/** `examples[i]` is row i as a model takes it. Undefined when the rows are no classification. */
export function classSet(
  rows: readonly DataRow[],
  examples: readonly TokenizedExample[],
  { template, maxSeqLength }: TokeniseConfig,
  tokenizer: Tokenizer,
): ClassSet | undefined {
  const names = classNames(rows);
  if (!names) return undefined;
  const usable = rows.flatMap((row, i): ClassRow[] => {
    const own = examples[i];
    if (!own) return [];
    const candidates: Candidate[] = [];
    for (const response of names) {
      const whole = tokenizeRow({ ...row, response }, { template, tokenizer, maxSeqLength: Number.MAX_SAFE_INTEGER });
      // One that is cut is not asked for its end, and would be likelier for that.
      if ('reason' in whole || whole.inputIds.length > maxSeqLength) return [];
      const example = response === row.response ? own : whole;
      candidates.push({ example, parting: partingOf(own, example) });
    }
    return [{ example: i, truth: names.indexOf(row.response), candidates }];
  });
  return usable.length > 0 ? { names, rows: usable } : undefined;
}

function partingOf(own: TokenizedExample, other: TokenizedExample): Probe | null {
  let at = 0;
  while (at < own.inputIds.length && own.inputIds[at] === other.inputIds[at] && own.labels[at] === other.labels[at])
    at++;
  const [mine, token] = [own.labels[at] ?? -1, other.labels[at] ?? -1];
  return at > 0 && mine >= 0 && token >= 0 ? { at, token } : null;
}

/** The held-out examples, each with a probe for every class that parts from it, in the order of the classes. */
export function withProbes(examples: readonly TokenizedExample[], { rows }: ClassSet): ScoredExample[] {
  const scored: ScoredExample[] = [...examples];
  for (const { example, truth, candidates } of rows) {
    const own = examples[example];
    const probes = candidates.flatMap(({ parting }, c) => (c === truth || parting === null ? [] : [parting]));
    if (own) scored[example] = { ...own, probes };
  }
  return scored;
}
