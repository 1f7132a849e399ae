import { useSyncExternalStore } from 'react';
import { useJoinStore } from '../stores/join-store.ts';
import { lossHistory } from '../stores/loss-history.ts';
import { LineChart } from '../ui/line-chart.tsx';
import { Section } from '../ui/section.tsx';

const SMOOTHING = 0.8;

const begun = () => lossHistory.points.length > 0;

/** Steps of all rounds, at least as many as were taken. */
function totalSteps(): number {
  const config = useJoinStore.getState().run?.config;
  return Math.max(2, config ? config.rounds * config.steps : 0, (lossHistory.points.at(-1)?.index ?? 0) + 1);
}

/** This tab's own training loss over all rounds, drawn as it comes. */
export function LossPanel() {
  const shown = useSyncExternalStore(lossHistory.subscribe, begun);
  if (!shown) return null;
  return (
    <Section title="Loss on your data" testId="loss-chart">
      <LineChart
        label="Training loss of this tab by optimiser step, raw and smoothed"
        xLabel="step"
        series={[
          { label: 'loss', color: '--mantine-color-teal-3', width: 1 },
          { label: 'smoothed', color: '--accent', width: 2 },
        ]}
        xRange={() => [1, totalSteps()]}
        columns={() => lossHistory.columns(SMOOTHING)}
        subscribe={lossHistory.subscribe}
      />
    </Section>
  );
}
