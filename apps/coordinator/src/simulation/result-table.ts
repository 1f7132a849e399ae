import { mean, spreadOf } from '../report/statistics.ts';
import { type CellResult, hasDiverged } from './records.ts';

/** What all cells of one algorithm or baseline have in common. */
const groupOf = ({ cell, kind }: CellResult): string => (kind === 'federated' ? cell.replace(/-seed\d+$/, '') : kind);

const COLUMNS: readonly { readonly title: string; of(result: CellResult): number | undefined; digits: number }[] = [
  { title: 'loss', of: ({ held_out }) => held_out?.lossNats, digits: 4 },
  { title: 'accuracy', of: ({ held_out }) => held_out?.accuracy, digits: 4 },
  { title: 'F1 macro', of: ({ held_out }) => held_out?.classes?.f1Macro, digits: 4 },
  { title: 'margin', of: ({ held_out }) => held_out?.rewards?.margin, digits: 4 },
];

/**
 * Held-out figures after the last round, a line an algorithm or baseline: mean ± standard deviation over seeds. Of `local`
 * the clients of a seed are averaged first, so that its spread is over seeds, too.
 */
export function resultTable(results: readonly CellResult[]): string {
  const untuned = results.filter((result) => result.untuned !== null);
  const groups = [...new Set(results.map(groupOf))];
  const lines = groups.map((group) => {
    const own = results.filter((result) => groupOf(result) === group);
    return { name: group, cells: own.length, bySeed: seedsOf(own) };
  });
  const columns = COLUMNS.filter(({ of }) => results.some((result) => of(result) !== undefined));
  const rows = [
    ['', 'cells', ...columns.map(({ title }) => title), 's a cell'],
    ...(untuned[0]
      ? [['untuned', '', ...columns.map((column) => spread(untunedBySeed(untuned, column), column.digits)), '']]
      : []),
    ...lines.map(({ name, cells, bySeed }) => [
      name,
      String(cells),
      ...columns.map((column) =>
        spread(
          bySeed.map((seed) => mean(values(seed, column.of))),
          column.digits,
        ),
      ),
      mean(bySeed.flat().map(({ seconds }) => seconds))?.toFixed(1) ?? '',
    ]),
  ];
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  return rows
    .map((row) =>
      row.map((text, i) => (i === 0 ? text.padEnd(widths[i] ?? 0) : text.padStart(widths[i] ?? 0))).join('  '),
    )
    .join('\n');
}

/** How many rounds of a cell kept the model although clients had trained, and why the last of them did. */
export interface KeptRounds {
  readonly cell: string;
  readonly kept: number;
  /** Rounds so far. */
  readonly rounds: number;
  /** Whether no round changed the model, so that it is the untuned one. */
  readonly diverged: boolean;
  readonly note: string | null;
}

/** Of a cell that is done. */
export const keptOf = (result: CellResult): KeptRounds => ({
  ...{ cell: result.cell, kept: result.kept_rounds, rounds: result.rounds },
  ...{ diverged: hasDiverged(result), note: result.kept_note },
});

/** `fedadam-seed1 diverged: 3 of 3 rounds kept the model, and none changed it. The model was kept: …` */
export function keptText({ cell, kept, rounds, diverged, note }: KeptRounds): string {
  const many = `${kept} of ${rounds} rounds kept the model`;
  const what = diverged ? ` diverged: ${many}, and none changed it` : `: ${many}`;
  return `${cell}${what}.${note === null ? '' : ` ${note}`}`;
}

/** A sentence for each cell whose clients trained in vain in some rounds, or in all. */
export const keptLines = (results: readonly CellResult[]): string[] =>
  results
    .map(keptOf)
    .filter(({ kept }) => kept > 0)
    .map(keptText);

const seedsOf = (results: readonly CellResult[]): CellResult[][] =>
  [...new Set(results.map(({ seed }) => seed))].map((seed) => results.filter((result) => result.seed === seed));

/** The untuned model's figures; all cells of a seed have the same. */
const untunedBySeed = (results: readonly CellResult[], { of }: (typeof COLUMNS)[number]) =>
  seedsOf(results).map(([first]) => (first ? of({ ...first, held_out: first.untuned }) : undefined));

/** None where a cell has no figure, or diverged: a mean of the others would flatter. */
function values(results: readonly CellResult[], of: (result: CellResult) => number | undefined): number[] {
  const found = results.flatMap((result) => (hasDiverged(result) ? [] : (of(result) ?? [])));
  return found.length === results.length ? found : [];
}

/** `0.8123 ± 0.0100`; sample standard deviation, left out where there is one value. `(n 2)` where seeds have no value. */
function spread(given: readonly (number | undefined)[], digits: number): string {
  const found = spreadOf(given.flatMap((value) => value ?? []));
  if (found === undefined) return '–';
  const { n, stdDev } = found;
  const deviation = stdDev === null ? '' : ` ± ${stdDev.toFixed(digits)}`;
  return `${found.mean.toFixed(digits)}${deviation}${n < given.length ? ` (n ${n})` : ''}`;
}
