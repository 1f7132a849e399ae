import type { HeldOutMetrics } from '@cotune/fl-core/protocol';

/** A held-out figure: a column of the table and a chart of its own. */
export interface Metric {
  readonly id: string;
  readonly title: string;
  readonly unit: string;
  readonly better: 'lower' | 'higher';
  /** undefined where the held-out rows have no such figure. */
  of(metrics: HeldOutMetrics): number | undefined;
}

/** Every figure, in the order of the table. To add one: add an entry. */
export const METRICS: readonly Metric[] = [
  {
    id: 'loss',
    title: 'loss',
    unit: 'nats',
    better: 'lower',
    of: ({ lossNats }) => lossNats,
  },
  {
    id: 'accuracy',
    title: 'exact answers',
    unit: 'share',
    better: 'higher',
    // Of preference pairs it is the reward accuracy, which has a column of its own.
    of: ({ accuracy, rewards }) => (rewards ? undefined : accuracy),
  },
  {
    id: 'class_accuracy',
    title: 'class accuracy',
    unit: 'share',
    better: 'higher',
    of: ({ classes }) => classes?.accuracy,
  },
  { id: 'f1_macro', title: 'F1 macro', unit: 'share', better: 'higher', of: ({ classes }) => classes?.f1Macro },
  {
    id: 'f1_weighted',
    title: 'F1 weighted',
    unit: 'share',
    better: 'higher',
    of: ({ classes }) => classes?.f1Weighted,
  },
  {
    id: 'reward_accuracy',
    title: 'reward accuracy',
    unit: 'share',
    better: 'higher',
    of: ({ rewards }) => rewards?.accuracy,
  },
  { id: 'reward_margin', title: 'reward margin', unit: 'nats', better: 'higher', of: ({ rewards }) => rewards?.margin },
];

/** Those that any of the measurements has. */
export const metricsIn = (measured: readonly HeldOutMetrics[]): Metric[] =>
  METRICS.filter(({ of }) => measured.some((one) => of(one) !== undefined));

/** Whether a is better than b by this figure. */
export const isBetter = ({ better }: Pick<Metric, 'better'>, a: number, b: number): boolean =>
  better === 'lower' ? a < b : a > b;
