import { useSyncExternalStore } from 'react';
import { useJoinStore } from '../stores/join-store.ts';
import { lossHistory } from '../stores/loss-history.ts';
import { LineChart } from '../ui/line-chart.tsx';
import { Section } from '../ui/section.tsx';
import { TASK_WORDS } from '../ui/task-words.ts';
import { formatPercent, formatSigned } from '../ui/units.ts';

const SMOOTHING = 0.8;

const begun = () => lossHistory.points.length > 0;

/** Steps of all rounds, at least as many as were taken. */
function totalSteps(): number {
  const config = useJoinStore.getState().run?.config;
  return Math.max(2, config ? config.rounds * config.steps : 0, (lossHistory.points.at(-1)?.index ?? 0) + 1);
}

/** How far the chosen answers' rewards are above the rejected ones', and in how many pairs, by step. */
function RewardChart() {
  return (
    <LineChart
      label="Reward margin of this tab’s pairs by optimiser step, raw and smoothed, and smoothed reward accuracy"
      xLabel="step"
      height={200}
      series={[
        { label: 'margin', color: '--mantine-color-teal-3', width: 1, format: formatSigned },
        { label: 'smoothed', color: '--accent', format: formatSigned },
        { label: 'reward accuracy', color: '--mantine-color-orange-6', scale: 'right', format: formatPercent },
      ]}
      rightRange={[0, 1]}
      xRange={() => [1, totalSteps()]}
      columns={() => lossHistory.rewardColumns(SMOOTHING)}
      subscribe={lossHistory.subscribe}
    />
  );
}

/** This tab's own training loss over all rounds, drawn as it comes. */
export function LossPanel() {
  const shown = useSyncExternalStore(lossHistory.subscribe, begun);
  const task = useJoinStore((state) => state.run?.config.task ?? 'sft');
  if (!shown) return null;
  const { loss } = TASK_WORDS[task];
  return (
    <Section title={task === 'dpo' ? 'DPO loss on your pairs' : 'Loss on your data'} testId="loss-chart">
      <LineChart
        label="Training loss of this tab by optimiser step, raw and smoothed"
        xLabel="step"
        series={[
          { label: loss, color: '--mantine-color-teal-3', width: 1 },
          { label: 'smoothed', color: '--accent', width: 2 },
        ]}
        xRange={() => [1, totalSteps()]}
        columns={() => lossHistory.columns(SMOOTHING)}
        subscribe={lossHistory.subscribe}
      />
      {task === 'dpo' ? <RewardChart /> : null}
    </Section>
  );
}
