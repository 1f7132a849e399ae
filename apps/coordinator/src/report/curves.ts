import type { Metric } from './metrics.ts';
import type { ReadExperiment } from './read-experiment.ts';
import { figureOf, type TableRow } from './rows.ts';
import { type Spread, spreadOf } from './statistics.ts';

export interface CurvePoint extends Spread {
  /** Rounds completed: 0 is the untuned model. */
  readonly rounds: number;
}

export interface Curve {
  readonly id: string;
  readonly title: string;
  /** False where none of the algorithm's cells is done: then it is of what they have so far. */
  readonly done: boolean;
  readonly points: readonly CurvePoint[];
}

/** One metric over the rounds: a line an algorithm, and what the baselines end with. */
export interface Chart {
  readonly metric: Metric;
  /** Rounds of the experiment. */
  readonly rounds: number;
  readonly curves: readonly Curve[];
  readonly references: readonly {
    readonly title: string;
    readonly kind: 'local-mean' | 'pooled';
    readonly value: number;
  }[];
}

/** A chart for each metric that was measured; a round's point is over the seeds that are done and evaluated it. */
export function chartsOf(
  { record, cells }: ReadExperiment,
  rows: readonly TableRow[],
  metrics: readonly Metric[],
): Chart[] {
  return metrics.flatMap((metric) => {
    const curves = rows
      .filter(({ kind }) => kind === 'federated')
      .flatMap(({ id, title, hyper }): Curve[] => {
        const own = cells.filter(({ group }) => group === id);
        const finished = own.filter(({ result }) => result !== null);
        const used = finished.length > 0 ? finished : own;
        const at = [...new Set(used.flatMap(({ rounds }) => rounds.map(({ round }) => round)))].sort((a, b) => a - b);
        const points = at.flatMap((round): CurvePoint[] => {
          const values = used.flatMap(
            ({ rounds }) => figureOf(rounds.find((one) => one.round === round)?.held_out, metric) ?? [],
          );
          const spread = spreadOf(values);
          return spread ? [{ rounds: round + 1, ...spread }] : [];
        });
        if (points.length === 0) return [];
        return [{ id, title: hyper === '' ? title : `${title}, ${hyper}`, done: finished.length > 0, points }];
      });
    const references = rows.flatMap(({ kind, title, metrics }) => {
      const found = metrics[metric.id];
      return found && (kind === 'local-mean' || kind === 'pooled') ? [{ kind, title, value: found.mean }] : [];
    });
    return curves.length > 0 ? [{ metric, rounds: record.config.run.rounds, curves, references }] : [];
  });
}
