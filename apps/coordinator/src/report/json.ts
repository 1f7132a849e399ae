import type { Section } from './section.ts';

/** The report as one plain object, snake_case as in the files that simulations write. */
export function reportJson(sections: readonly Section[]): object {
  return { experiments: sections.map(sectionJson) };
}

function sectionJson({
  experiment,
  metrics,
  rows,
  comparisons,
  charts,
  unfinished,
  notBegun,
  kept,
  unmeasured,
}: Section): object {
  const { directory, record, cells } = experiment;
  return {
    directory,
    name: record.config.name,
    metrics: metrics.map(({ id, title, unit, better }) => ({ id, title, unit, better })),
    table: rows.map(({ clientSteps, bytesUp, bytesDown, metrics, ...row }) => ({
      ...row,
      metrics: Object.fromEntries(Object.entries(metrics).map(([id, spread]) => [id, spreadJson(spread)])),
      client_steps: clientSteps && spreadJson(clientSteps),
      bytes_up: bytesUp && spreadJson(bytesUp),
      bytes_down: bytesDown && spreadJson(bytesDown),
      seconds: row.seconds && spreadJson(row.seconds),
    })),
    against_local: comparisons.map(({ id, sentence, comparisons }) => ({
      id,
      sentence,
      metrics: comparisons.map(({ metric, bySeed, difference, verdict, clientsBetterOff }) => ({
        metric: metric.id,
        by_seed: bySeed,
        ...spreadJson(difference),
        interval_95: difference.interval && [difference.interval.low, difference.interval.high],
        verdict,
        clients_better_off: clientsBetterOff,
      })),
    })),
    curves: charts.map(({ metric, curves, references }) => ({
      metric: metric.id,
      references,
      lines: curves.map(({ id, done, points }) => ({
        id,
        done,
        points: points.map(({ rounds, ...spread }) => ({ rounds, ...spreadJson(spread) })),
      })),
    })),
    unfinished,
    not_begun: notBegun,
    kept_rounds: kept,
    missing_metrics: unmeasured,
    cells: cells.map(({ cell, result }) => ({ cell: cell.name, adapter_sha256: result?.adapter_sha256 ?? null })),
    record,
  };
}

const spreadJson = ({ n, mean, stdDev }: { n: number; mean: number; stdDev: number | null }) => ({
  n,
  mean,
  std_dev: stdDev,
});
