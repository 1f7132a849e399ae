import type { HeldOutMetrics } from '@cotune/fl-core/protocol';
import type { Metric } from './metrics.ts';
import { aloneGroup, type ReadExperiment } from './read-experiment.ts';
import { figureOf, ownFigures } from './rows.ts';
import { mean, type Spread, spreadOf } from './statistics.ts';

/** What one client reaches alone, over seeds. Who gets which rows depends on the seed where they are dealt by it. */
export interface ClientAlone {
  readonly client: number;
  /** Mean over seeds. */
  readonly rows: number;
  /** By metric id. */
  readonly metrics: Readonly<Record<string, Spread>>;
}

/** How far apart the clients of a seed are: standard deviation over clients and range, each the mean over seeds. */
export interface ClientsApart {
  readonly metric: Metric;
  readonly stdDev: number;
  readonly range: number;
}

export interface Fairness {
  readonly clients: readonly ClientAlone[];
  readonly apart: readonly ClientsApart[];
}

/** How unlike the clients fare that train alone; null where fewer than two of them are done. */
export function fairnessOf(experiment: ReadExperiment, metrics: readonly Metric[]): Fairness | null {
  const alone = experiment.cells.filter(({ group }) => group === aloneGroup(experiment));
  const done = alone.flatMap(({ result }) => {
    const held = ownFigures(result);
    if (result === null || result.client === null || held === null) return [];
    return [{ client: result.client, seed: result.seed, rows: result.examples[result.client] ?? 0, held }];
  });
  const numbers = [...new Set(done.map(({ client }) => client))].sort((a, b) => a - b);
  if (numbers.length < 2) return null;
  const clients = numbers.map((client) => {
    const own = done.filter((one) => one.client === client);
    return {
      client,
      rows: mean(own.map(({ rows }) => rows)) ?? 0,
      metrics: Object.fromEntries(
        metrics.flatMap((metric) => {
          const spread = spreadOf(valuesOf(own, metric));
          return spread ? [[metric.id, spread]] : [];
        }),
      ),
    };
  });
  const seeds = [...new Set(done.map(({ seed }) => seed))];
  const apart = metrics.flatMap((metric): ClientsApart[] => {
    const bySeed = seeds.flatMap((seed) => {
      const values = valuesOf(
        done.filter((one) => one.seed === seed),
        metric,
      );
      const stdDev = spreadOf(values)?.stdDev;
      return typeof stdDev === 'number' ? [{ stdDev, range: Math.max(...values) - Math.min(...values) }] : [];
    });
    const stdDev = mean(bySeed.map((one) => one.stdDev));
    const range = mean(bySeed.map((one) => one.range));
    return stdDev === undefined || range === undefined ? [] : [{ metric, stdDev, range }];
  });
  return { clients, apart };
}

const valuesOf = (of: readonly { readonly held: HeldOutMetrics }[], metric: Metric): number[] =>
  of.flatMap(({ held }) => figureOf(held, metric) ?? []);
