import { ALGORITHMS, type AlgorithmSettings, algorithmSettings, type HeldOutMetrics } from '@cotune/fl-core';
import { type CellResult, hasDiverged, type RoundRecord } from '../simulation/records.ts';
import { isBetter, type Metric } from './metrics.ts';
import { aloneGroup, type ReadCell, type ReadExperiment } from './read-experiment.ts';
import { mean, type Spread, spreadOf } from './statistics.ts';

/** What a row of the table is about. */
export type RowKind =
  | 'untuned'
  | 'federated'
  | 'local-mean'
  | 'local-worst'
  | 'local-best'
  | 'local-every-round'
  | 'pooled';

export interface TableRow {
  readonly id: string;
  readonly kind: RowKind;
  readonly title: string;
  /** Hyperparameters other than the defaults; empty where there are none. */
  readonly hyper: string;
  /** Of the experiment, seeds that are done and all; null where the row is no training. */
  readonly seeds: { readonly done: number; readonly all: number } | null;
  /** Of the seeds done, those of which a cell diverged: they have no figures, since those of the untuned model are not the row's. */
  readonly diverged: number;
  /** By metric id; missing where nothing was measured or no seed is done. */
  readonly metrics: Readonly<Record<string, Spread>>;
  /** By metric id and seed, in the order of the experiment's seeds. */
  readonly values: Readonly<Record<string, readonly SeedValue[]>>;
  /** Optimiser steps that a client took in all rounds of a seed, mean over the clients; null where no result has them. */
  readonly clientSteps: Spread | null;
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

/** The rows of an experiment: the untuned model, every algorithm, what clients reach alone, all rows in one hand. */
export function tableRows(experiment: ReadExperiment, metrics: readonly Metric[]): TableRow[] {
  const { seeds } = experiment.record.config;
  const groups = new Set(experiment.cells.map((one) => one.group));
  const parts = [untunedParts(experiment), ...[...groups].flatMap((group) => groupParts(experiment, group))];
  return withBest(
    parts.map((part) => rowOf(part, metrics, seeds.length)),
    metrics,
  );
}

type SeedCells = ReadonlyMap<number, readonly ReadCell[]>;
/** What a row says of one seed's cells. */
type Figure = (cells: readonly ReadCell[], metric: Metric) => number | undefined;

interface RowParts extends Pick<TableRow, 'id' | 'kind' | 'title'> {
  readonly hyper?: string;
  readonly bySeed: SeedCells;
  readonly figure: Figure;
}

/** Of any cell of a seed in which the untuned model was measured: all measure the same. */
function untunedParts({ record, cells }: ReadExperiment): RowParts {
  const bySeed = record.config.seeds.flatMap((seed) => {
    const first = cells.find(({ cell, rounds }) => cell.seed === seed && untunedOf(rounds) !== null);
    return first ? [[seed, [first]] as const] : [];
  });
  return {
    ...{ id: 'untuned', kind: 'untuned', title: 'untuned', bySeed: new Map(bySeed) },
    figure: ([cell], metric) => figureOf(untunedOf(cell?.rounds ?? []), metric),
  };
}

/** The rows of an algorithm or a baseline, over the seeds of which every cell is done. */
function groupParts(experiment: ReadExperiment, group: string): RowParts[] {
  const cells = experiment.cells.filter((one) => one.group === group);
  const done = experiment.record.config.seeds
    .map((seed) => [seed, cells.filter(({ cell }) => cell.seed === seed)] as const)
    .filter(([, own]) => own.every(({ result }) => result !== null));
  const bySeed: SeedCells = new Map(done);
  const first = cells[0]?.cell;
  if (first?.kind === 'federated') {
    const again = /-(\d+)$/.exec(group)?.[1];
    const title = `${ALGORITHMS[first.algorithm.id].title}${again ? ` (${again})` : ''}`;
    return [{ id: group, kind: 'federated', title, hyper: hyperText(first.algorithm), bySeed, figure: ofFirst }];
  }
  if (first?.client === null) return [{ id: group, kind: 'pooled', title: 'pooled', bySeed, figure: ofFirst }];
  const name = group === 'local' ? 'local' : 'local in every round';
  const mean = { id: group, title: `${name}, mean of clients`, bySeed, figure: ofMean };
  if (group !== aloneGroup(experiment)) return [{ ...mean, kind: 'local-every-round' }];
  return [
    { ...mean, kind: 'local-mean' },
    { id: 'local-worst', kind: 'local-worst', title: `${name}, worst client`, bySeed, figure: ofExtreme(false) },
    { id: 'local-best', kind: 'local-best', title: `${name}, best client`, bySeed, figure: ofExtreme(true) },
  ];
}

const allOf = (cells: readonly ReadCell[], metric: Metric): number[] =>
  cells.flatMap(({ result }) => figureOf(ownFigures(result), metric) ?? []);
const ofFirst: Figure = (cells, metric) => allOf(cells, metric)[0];
/** None where a client has no figure, or diverged: a mean of the others would flatter. */
const ofAll = (cells: readonly ReadCell[], metric: Metric): number[] => {
  const values = allOf(cells, metric);
  return values.length === cells.length ? values : [];
};
const ofMean: Figure = (cells, metric) => mean(ofAll(cells, metric));
/** The best client's figure, or the worst one's. */
const ofExtreme =
  (best: boolean): Figure =>
  (cells, metric) =>
    ofAll(cells, metric).sort((a, b) => (isBetter(metric, a, b) === best ? -1 : 1))[0];

function rowOf({ bySeed, figure, ...row }: RowParts, metrics: readonly Metric[], seeds: number): TableRow {
  const values: Record<string, readonly SeedValue[]> = {};
  const spreads: Record<string, Spread> = {};
  for (const metric of metrics) {
    const own = [...bySeed].flatMap(([seed, cells]): SeedValue[] => {
      const value = figure(cells, metric);
      return value === undefined ? [] : [{ seed, value }];
    });
    values[metric.id] = own;
    const spread = spreadOf(own.map(({ value }) => value));
    if (spread) spreads[metric.id] = spread;
  }
  const trained = row.kind !== 'untuned';
  const whole = new Map([...bySeed].filter(([, cells]) => cells.every(hasAllRounds)));
  const sent = (of: (round: RoundRecord) => number): Spread | null =>
    (row.kind === 'federated' && spreadOf([...whole.values()].map((cells) => sum(cells, of)))) || null;
  const sum = (cells: readonly ReadCell[], of: (round: RoundRecord) => number) =>
    cells.flatMap(({ rounds }) => rounds).reduce((total, round) => total + of(round), 0);
  return {
    hyper: '',
    ...row,
    seeds: trained ? { done: bySeed.size, all: seeds } : null,
    diverged: [...bySeed.values()].filter((cells) => cells.some(({ result }) => result && hasDiverged(result))).length,
    metrics: spreads,
    values,
    clientSteps: trained ? clientSteps(bySeed) : null,
    bytesUp: sent(({ bytes_up }) => bytes_up),
    bytesDown: sent(({ bytes_down }) => bytes_down),
    seconds: trained ? secondsOf(bySeed) : null,
    best: [],
  };
}

const secondsOf = (bySeed: SeedCells): Spread | null =>
  spreadOf([...bySeed.values()].map((cells) => mean(cells.map(({ result }) => result?.seconds ?? 0)) ?? 0)) ?? null;

/** Whether the metrics have a line for the untuned model and for every round, as those of a cell that is done do. */
export const hasAllRounds = ({ cell, rounds }: Pick<ReadCell, 'cell' | 'rounds'>): boolean =>
  rounds.length === cell.run.rounds + 1;

/** Optimiser steps of all clients together. */
export const stepsOf = ({ client_steps }: Pick<CellResult, 'client_steps'>): number =>
  client_steps.reduce((sum, steps) => sum + steps, 0);

/** Of a cell in which one trains alone, that one's. */
function clientSteps(bySeed: SeedCells): Spread | null {
  const bySeedMeans = [...bySeed.values()].flatMap((cells) => {
    const each = cells.flatMap(({ result }) => {
      if (!result || result.client_steps.length === 0) return [];
      return result.client === null ? result.client_steps : [stepsOf(result)];
    });
    return mean(each) ?? [];
  });
  return spreadOf(bySeedMeans) ?? null;
}

/** Marks the best mean of each column; rows with fewer values in it, or fewer seeds done, than another do not compete with it. */
function withBest(rows: readonly TableRow[], metrics: readonly Metric[]): TableRow[] {
  const rivals = rows.filter(({ kind }) => kind === 'federated' || kind === 'local-mean');
  const mostSeeds = Math.max(0, ...rivals.map(({ seeds }) => seeds?.done ?? 0));
  const best = new Map<string, string[]>();
  for (const metric of metrics) {
    const most = Math.max(0, ...rivals.map(({ metrics }) => metrics[metric.id]?.n ?? 0));
    const means = rivals.flatMap(({ id, seeds, metrics }) => {
      const found = metrics[metric.id];
      return found?.n === most && seeds?.done === mostSeeds ? [{ id, mean: found.mean }] : [];
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

/** What a cell's training came to; null while it is not done, and where it diverged. */
export const ownFigures = (result: CellResult | null): HeldOutMetrics | null =>
  result && !hasDiverged(result) ? result.held_out : null;

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
