import type { HeldOutMetrics, RoundSummary, RunView } from '@cotune/fl-core/protocol';
import type { ChartSeries } from '../ui/line-chart.tsx';
import { figuresOf, publishedRounds, trainingLoss, trainingRewards } from '../ui/rounds.ts';
import { TASK_WORDS } from '../ui/task-words.ts';
import { formatPercent, formatSigned } from '../ui/units.ts';

/** One line of a chart over the rounds; round 0 is the untuned model, which nobody trained. */
export interface MetricLine extends ChartSeries {
  readonly heldOut?: (metrics: HeldOutMetrics) => number | null;
  readonly trained?: (round: RoundSummary) => number | null;
}

const points = { points: true } as const;
const ofTraining = { ...points, width: 1, dash: [4, 4] } as const;
const share = { ...points, scale: 'right', format: formatPercent } as const;

/** Loss on the left, shares on the right; only what the run has. */
export function lossLines(run: RunView): readonly MetricLine[] {
  const { task } = run.config;
  const { loss, accuracy } = TASK_WORDS[task];
  const { heldOut, classes, trainingRewards: rewarded } = figuresOf(run);
  const lines: readonly (readonly [boolean, MetricLine])[] = [
    [heldOut, { label: `held-out ${loss}`, color: '--accent', ...points, heldOut: ({ lossNats }) => lossNats }],
    [true, { label: `training ${loss}`, color: '--mantine-color-gray-5', ...ofTraining, trained: trainingLoss }],
    [
      heldOut,
      { label: accuracy.toLowerCase(), color: '--mantine-color-orange-6', ...share, heldOut: (one) => one.accuracy },
    ],
    [
      classes,
      {
        label: 'F1 macro',
        color: '--mantine-color-violet-5',
        ...share,
        heldOut: (one) => one.classes?.f1Macro ?? null,
      },
    ],
    [
      rewarded,
      {
        label: 'in training',
        color: '--mantine-color-orange-3',
        ...share,
        ...ofTraining,
        trained: (round) => trainingRewards(round)?.accuracy ?? null,
      },
    ],
  ];
  return lines.flatMap(([shown, line]) => (shown ? [line] : []));
}

/** Reward margins of a run on preference pairs; none where there are none. */
export function marginLines(run: RunView): readonly MetricLine[] {
  const { heldOutRewards, trainingRewards: rewarded } = figuresOf(run);
  const heldOut: MetricLine = {
    label: 'held-out margin',
    color: '--accent',
    ...points,
    format: formatSigned,
    heldOut: ({ rewards }) => rewards?.margin ?? null,
  };
  const trained: MetricLine = {
    label: 'training margin',
    color: '--mantine-color-gray-5',
    ...ofTraining,
    format: formatSigned,
    trained: (round) => trainingRewards(round)?.margin ?? null,
  };
  return [...(heldOutRewards ? [heldOut] : []), ...(rewarded ? [trained] : [])];
}

/** Round numbers (0 = before tuning), then one column a line; null where a round has no such figure. */
export function metricColumns(run: RunView, lines: readonly MetricLine[]): (number | null)[][] {
  const rounds = publishedRounds(run);
  const before = run.baseline;
  const column = ({ heldOut, trained }: MetricLine): (number | null)[] => {
    const after = rounds.map((round) =>
      trained ? trained(round) : round.evaluation && heldOut ? heldOut(round.evaluation) : null,
    );
    return before ? [heldOut?.(before) ?? null, ...after] : after;
  };
  const numbers = rounds.map(({ round }) => round + 1);
  return [before ? [0, ...numbers] : numbers, ...lines.map(column)];
}
