import { type AlgorithmComparison, compareWithLocal } from './comparison.ts';
import { type Chart, chartsOf } from './curves.ts';
import { type Metric, metricsIn } from './metrics.ts';
import type { ReadExperiment } from './read-experiment.ts';
import { type TableRow, tableRows } from './rows.ts';

/** All that is told of one directory, however it is shown. */
export interface Section {
  readonly experiment: ReadExperiment;
  readonly metrics: readonly Metric[];
  readonly rows: readonly TableRow[];
  readonly comparisons: readonly AlgorithmComparison[];
  readonly charts: readonly Chart[];
  /** `fedavg-seed1 (round 3 of 6)`: begun, but not done. */
  readonly unfinished: readonly string[];
  /** Names of cells of which there is nothing. */
  readonly notBegun: readonly string[];
}

/** Works out everything that a report says of an experiment. */
export function sectionOf(experiment: ReadExperiment): Section {
  const { cells } = experiment;
  const metrics = metricsIn(cells.flatMap(({ rounds }) => rounds.flatMap(({ held_out }) => held_out ?? [])));
  const rows = tableRows(experiment, metrics);
  const open = cells.filter(({ result }) => result === null);
  return {
    experiment,
    metrics,
    rows,
    comparisons: compareWithLocal(experiment, rows, metrics),
    charts: chartsOf(experiment, rows, metrics),
    unfinished: open.flatMap(({ cell, rounds }) =>
      rounds.length > 0 ? [`${cell.name} (${(rounds.at(-1)?.round ?? -1) + 1} of ${cell.run.rounds} rounds)`] : [],
    ),
    notBegun: open.flatMap(({ cell, rounds }) => (rounds.length === 0 ? [cell.name] : [])),
  };
}
