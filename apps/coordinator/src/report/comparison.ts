import { isBetter, type Metric } from './metrics.ts';
import { aloneGroup, type ReadExperiment } from './read-experiment.ts';
import { figureOf, ownFigures, type TableRow } from './rows.ts';
import { mean, type PairedDifference, pairedDifference } from './statistics.ts';

/** Whether the 95 % interval of the difference leaves a doubt; `one-seed` where there is no interval. */
export type Verdict = 'beats' | 'does-not-beat' | 'cannot-be-told' | 'one-seed';

/** An algorithm against the mean of the clients that train alone, in one metric, paired by seed. */
export interface Comparison {
  readonly metric: Metric;
  /** Algorithm − local mean, seed by seed. */
  readonly bySeed: readonly { readonly seed: number; readonly difference: number }[];
  readonly difference: PairedDifference;
  readonly verdict: Verdict;
  /** Mean over seeds of the share of clients that alone are worse than the federation is. */
  readonly clientsBetterOff: number;
}

export interface AlgorithmComparison {
  readonly id: string;
  readonly title: string;
  readonly comparisons: readonly Comparison[];
  /** All of it in words. */
  readonly sentence: string;
}

/** Every algorithm against the local mean; empty where the experiment has no local baseline. */
export function compareWithLocal(
  experiment: ReadExperiment,
  rows: readonly TableRow[],
  metrics: readonly Metric[],
): AlgorithmComparison[] {
  const local = rows.find(({ kind }) => kind === 'local-mean');
  if (!local) return [];
  return rows
    .filter(({ kind }) => kind === 'federated')
    .map((row) => {
      const comparisons = metrics.flatMap((metric) => compare(experiment, { row, local, metric }) ?? []);
      const title = row.hyper === '' ? row.title : `${row.title} (${row.hyper})`;
      return { id: row.id, title, comparisons, sentence: sentenceOf(title, comparisons, row) };
    });
}

function compare(
  experiment: ReadExperiment,
  { row, local, metric }: { row: TableRow; local: TableRow; metric: Metric },
): Comparison | undefined {
  const pairs = (row.values[metric.id] ?? []).flatMap(({ seed, value }) => {
    const alone = local.values[metric.id]?.find((one) => one.seed === seed);
    return alone ? [{ seed, value, difference: value - alone.value }] : [];
  });
  const difference = pairedDifference(pairs.map((pair) => pair.difference));
  if (!difference) return undefined;
  const shares = pairs.flatMap(({ seed, value }) => {
    const clients = experiment.cells
      .filter(({ cell, group }) => group === aloneGroup(experiment) && cell.seed === seed)
      .flatMap(({ result }) => figureOf(ownFigures(result), metric) ?? []);
    return clients.length > 0 ? [clients.filter((one) => isBetter(metric, value, one)).length / clients.length] : [];
  });
  return {
    metric,
    bySeed: pairs.map(({ seed, difference }) => ({ seed, difference })),
    difference,
    verdict: verdictOf(metric, difference),
    clientsBetterOff: mean(shares) ?? 0,
  };
}

function verdictOf(metric: Metric, { interval }: PairedDifference): Verdict {
  if (interval === null) return 'one-seed';
  // The end of the interval that is the least favourable to the federation, and the most.
  const [worst, best] = metric.better === 'lower' ? [interval.high, interval.low] : [interval.low, interval.high];
  if (isBetter(metric, worst, 0)) return 'beats';
  return isBetter(metric, best, 0) ? 'cannot-be-told' : 'does-not-beat';
}

function sentenceOf(
  title: string,
  comparisons: readonly Comparison[],
  { seeds: of, diverged }: Pick<TableRow, 'seeds' | 'diverged'>,
): string {
  if (diverged > 0 && diverged === of?.done)
    return `${title} diverged in ${of.done === 1 ? 'the one seed' : `all ${of.done} seeds`} of which it is done.`;
  if (comparisons.length === 0)
    return `${title}: cannot be told yet, there is no seed of which it and every client alone are done and evaluated.`;
  const seeds = Math.max(...comparisons.map(({ difference }) => difference.n));
  const where = (is: (comparison: Comparison) => boolean) => comparisons.filter(is).map(differenceText).join(', ');
  if (seeds === 1) {
    const better = where(({ metric, difference }) => isBetter(metric, difference.mean, 0));
    const rest = where(({ metric, difference }) => !isBetter(metric, difference.mean, 0));
    const parts = [better && `better in ${better}`, rest && `not better in ${rest}`].filter((part) => part !== '');
    return `${title}: with one seed it cannot be told whether it beats the local mean; in this seed it is ${parts.join(', ')}.`;
  }
  const beats = where(({ verdict }) => verdict === 'beats');
  const open = where(({ verdict }) => verdict === 'cannot-be-told' || verdict === 'one-seed');
  const worse = where(({ verdict }) => verdict === 'does-not-beat');
  const parts = [
    beats && `beats the local mean in ${beats}`,
    worse && `does not beat the local mean in ${worse}`,
    open && `cannot be told from the local mean in ${open}`,
  ].filter((part) => part !== '');
  return `${title} ${parts.join('; it ')} (${seeds} seeds).`;
}

/** `loss (−0.1234, −0.2 to −0.05)` */
function differenceText({ metric, difference: { mean, interval } }: Comparison): string {
  const range = interval ? `, ${signed(interval.low)} to ${signed(interval.high)}` : '';
  return `${metric.title} (${signed(mean)}${range})`;
}

/** With its sign, a real minus, four decimals. */
export const signed = (value: number): string =>
  `${value < 0 ? '−' : value > 0 ? '+' : ''}${Math.abs(value).toFixed(4)}`;
