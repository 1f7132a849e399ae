import { ALGORITHMS, type AlgorithmSettings, algorithmSettings, type HeldOutMetrics } from '@cotune/fl-core';
import { isBetter, type Metric } from './metrics.ts';
import type { ReadCell, ReadExperiment } from './read-experiment.ts';
import { mean, type Spread, spreadOf } from './statistics.ts';

/** What a row of the table is about. */
export type RowKind = 'untuned' | 'federated' | 'local-mean' | 'local-worst' | 'local-best' | 'pooled';

export interface TableRow {
  readonly id: string;
  readonly kind: RowKind;
  readonly title: string;
  /** Hyperparameters other than the defaults; empty where there are none. */
  readonly hyper: string;
  /** Of the experiment, seeds that are done and all; null where the row is no training. */
  readonly seeds: { readonly done: number; readonly all: number } | null;
  /** By metric id; missing where nothing was measured or no seed is done. */
  readonly metrics: Readonly<Record<string, Spread>>;
  /** By metric id and seed, in the order of the experiment's seeds. */
  readonly values: Readonly<Record<string, readonly SeedValue[]>>;
  /** Of all rounds of a seed; null where nothing is sent. */
  readonly bytesUp: Spread | null;
  readonly bytesDown: Spread | null;
  /** Of a seed; of local training, of one client. */
  readonly seconds: Spread | null;
  /** Metrics in which the row is the best of the algorithms and the local mean. */
  readonly best: readonly string[];
}

export interface SeedValue {
  readonly seed: number;
  readonly value: number;
}

/** The rows of an experiment: the untuned model, what clients reach alone, every algorithm, all rows in one hand. */
export function tableRows({ record, cells }: ReadExperiment, metrics: readonly Metric[]): TableRow[] {
  const { seeds } = record.config;
  const of = (group: string, seed: number) => cells.filter((one) => one.group === group && one.cell.seed === seed);
  const groups = [...new Set(cells.map(({ group }) => group))];
  const rows: TableRow[] = [];
  const add = (
    row: Pick<TableRow, 'id' | 'kind' | 'title'> & { hyper?: string },
    bySeed: ReadonlyMap<number, readonly ReadCell[]>,
    figure: (cells: readonly ReadCell[], metric: Metric) => number | undefined,
  ) => {
    const values = Object.fromEntries(
      metrics.map((metric) => [
        metric.id,
        [...bySeed].flatMap(([seed, own]): SeedValue[] => {
          const value = figure(own, metric);
          return value === undefined ? [] : [{ seed, value }];
        }),
      ]),
    );
    const spreads = Object.entries(values).flatMap(([id, list]) => {
      const spread = spreadOf(list.map(({ value }) => value));
      return spread ? [[id, spread] as const] : [];
    });
    const sum = (of: (cell: ReadCell) => number): Spread | null =>
      spreadOf([...bySeed.values()].map((own) => own.reduce((total, cell) => total + of(cell), 0))) ?? null;
    const sent = row.kind === 'federated';
    rows.push({
      hyper: '',
      ...row,
      seeds: row.kind === 'untuned' ? null : { done: bySeed.size, all: seeds.length },
      metrics: Object.fromEntries(spreads),
      values,
      bytesUp: sent ? sum(({ rounds }) => rounds.reduce((total, { bytes_up }) => total + bytes_up, 0)) : null,
      bytesDown: sent ? sum(({ rounds }) => rounds.reduce((total, { bytes_down }) => total + bytes_down, 0)) : null,
      seconds:
        row.kind === 'untuned'
          ? null
          : (spreadOf(
              [...bySeed.values()].flatMap((own) => mean(own.map(({ result }) => result?.seconds ?? 0)) ?? []),
            ) ?? null),
      best: [],
    });
  };
  /** Seeds of which every cell of the group is done. */
  const done = (group: string): Map<number, ReadCell[]> =>
    new Map(
      seeds
        .map((seed) => [seed, of(group, seed)] as const)
        .filter(([, own]) => own.length > 0 && own.every(({ result }) => result !== null)),
    );
  const heldOut = ({ result }: ReadCell, metric: Metric) => figureOf(result?.held_out, metric);

  const begun = new Map(
    seeds.flatMap((seed) => {
      const first = cells.find(({ cell, rounds }) => cell.seed === seed && untunedOf(rounds) !== null);
      return first ? [[seed, [first]] as const] : [];
    }),
  );
  add({ id: 'untuned', kind: 'untuned', title: 'untuned' }, begun, ([cell], metric) =>
    figureOf(untunedOf(cell?.rounds ?? []), metric),
  );
  for (const group of groups) {
    const [first] = cells.filter((one) => one.group === group);
    if (first?.cell.kind === 'federated') {
      const { algorithm } = first.cell;
      const again = /-(\d+)$/.exec(group)?.[1];
      const title = `${ALGORITHMS[algorithm.id].title}${again ? ` (${again})` : ''}`;
      add({ id: group, kind: 'federated', title, hyper: hyperText(algorithm) }, done(group), ([cell], metric) =>
        cell ? heldOut(cell, metric) : undefined,
      );
    } else if (group === 'local') {
      const ofAll = (own: readonly ReadCell[], metric: Metric) => own.flatMap((cell) => heldOut(cell, metric) ?? []);
      const extreme = (better: boolean) => (own: readonly ReadCell[], metric: Metric) =>
        ofAll(own, metric).reduce<number | undefined>(
          (found, value) => (found === undefined || isBetter(metric, value, found) === better ? value : found),
          undefined,
        );
      const seedsDone = done(group);
      add({ id: 'local', kind: 'local-mean', title: 'local, mean of clients' }, seedsDone, (own, metric) =>
        mean(ofAll(own, metric)),
      );
      add({ id: 'local-worst', kind: 'local-worst', title: 'local, worst client' }, seedsDone, extreme(false));
      add({ id: 'local-best', kind: 'local-best', title: 'local, best client' }, seedsDone, extreme(true));
    } else {
      add({ id: group, kind: 'pooled', title: 'pooled' }, done(group), ([cell], metric) =>
        cell ? heldOut(cell, metric) : undefined,
      );
    }
  }
  return withBest(rows, metrics);
}

/** Marks the best mean of each column; rows of which fewer seeds are done than of another do not compete with it. */
function withBest(rows: readonly TableRow[], metrics: readonly Metric[]): TableRow[] {
  const rivals = rows.filter(({ kind }) => kind === 'federated' || kind === 'local-mean');
  const most = Math.max(0, ...rivals.map(({ seeds }) => seeds?.done ?? 0));
  const best = new Map<string, string[]>();
  for (const metric of metrics) {
    const means = rivals.flatMap(({ id, seeds, metrics }) => {
      const found = metrics[metric.id];
      return found && seeds?.done === most ? [{ id, mean: found.mean }] : [];
    });
    if (means.length < 2) continue;
    const top = means.reduce((found, one) => (isBetter(metric, one.mean, found.mean) ? one : found));
    for (const { id } of means.filter((one) => one.mean === top.mean))
      best.set(id, [...(best.get(id) ?? []), metric.id]);
  }
  return rows.map((row) => ({ ...row, best: best.get(row.id) ?? [] }));
}

export const untunedOf = (rounds: ReadCell['rounds']): HeldOutMetrics | null =>
  rounds.find(({ round }) => round === -1)?.held_out ?? null;

export const figureOf = (metrics: HeldOutMetrics | null | undefined, metric: Metric): number | undefined =>
  metrics ? metric.of(metrics) : undefined;

/** `eta 0.03, tau 0.01`: what differs from the algorithm's defaults. */
function hyperText({ id, hyper }: AlgorithmSettings): string {
  const defaults = algorithmSettings.parse({ id }).hyper as Record<string, unknown>;
  return Object.entries(hyper)
    .filter(([name, value]) => defaults[name] !== value)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ');
}
