import { type KeptRounds, keptOf } from '../simulation/result-table.ts';
import { keptRounds } from '../simulation/round-records.ts';
import { type AlgorithmComparison, compareWithLocal } from './comparison.ts';
import { type Chart, chartsOf } from './curves.ts';
import { type Metric, metricsIn } from './metrics.ts';
import type { ReadCell, ReadExperiment } from './read-experiment.ts';
import { hasAllRounds, type TableRow, tableRows } from './rows.ts';

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
  /** Cells in which clients trained in vain in some rounds, done or not. */
  readonly kept: readonly KeptRounds[];
  /** `fedavg-seed1 (0 of 3)`: done, but with fewer lines of metrics than its rounds and the untuned model make. */
  readonly unmeasured: readonly string[];
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
    kept: cells.map(keptSoFar).filter(({ kept }) => kept > 0),
    unmeasured: cells.flatMap((one) =>
      one.result === null || hasAllRounds(one)
        ? []
        : [`${one.cell.name} (${one.rounds.length} of ${one.cell.run.rounds + 1})`],
    ),
  };
}

/** Of a cell that is not done what its metrics say; it may yet recover, and has not diverged. */
function keptSoFar({ cell, result, rounds }: ReadCell): KeptRounds {
  if (result) return keptOf(result);
  const { kept_rounds, kept_note } = keptRounds(rounds);
  const so = rounds.filter(({ round }) => round >= 0).length;
  return { cell: cell.name, kept: kept_rounds, rounds: so, diverged: false, note: kept_note };
}
