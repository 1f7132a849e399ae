import { useSyncExternalStore } from 'react';
import { lossHistory } from '../stores/loss-history.ts';
import { LineChart } from '../ui/line-chart.tsx';
import { Section } from '../ui/section.tsx';

const SMOOTHING = 0.8;

const begun = () => lossHistory.points.length > 0;

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
        columns={() => lossHistory.columns(SMOOTHING)}
        subscribe={lossHistory.subscribe}
      />
    </Section>
  );
}
