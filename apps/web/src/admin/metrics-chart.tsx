import type { RunView } from '@cotune/fl-core/protocol';
import { Text } from '@mantine/core';
import { useAdminStore } from '../stores/admin-store.ts';
import { LineChart } from '../ui/line-chart.tsx';
import { publishedRounds } from '../ui/rounds.ts';
import { lossLines, type MetricLine, marginLines, metricColumns } from './metrics.ts';

function RoundsChart(props: {
  run: RunView;
  label: string;
  lines: (run: RunView) => readonly MetricLine[];
  height?: number;
}) {
  const { run, label, lines, height = 240 } = props;
  const { runId } = run;
  return (
    <LineChart
      label={label}
      xLabel="round"
      height={height}
      series={lines(run).map(({ heldOut: _, trained: __, ...series }) => series)}
      rightRange={[0, 1]}
      xRange={() => [0, useAdminStore.getState().runs[runId]?.config.rounds ?? 1]}
      columns={() => {
        const now = useAdminStore.getState().runs[runId] ?? run;
        return metricColumns(now, lines(now));
      }}
      subscribe={(listener) =>
        useAdminStore.subscribe((now, before) => {
          if (now.runs[runId] !== before.runs[runId]) listener();
        })
      }
    />
  );
}

/** Loss and accuracies on the coordinator's held-out data over the rounds, with the participants' own figures in training. */
export function MetricsChart({ run }: { run: RunView }) {
  const empty = publishedRounds(run).length === 0 && !run.baseline;
  if (empty) {
    return (
      <Text size="sm" c="dimmed">
        {run.config.evaluationId === undefined
          ? 'This run has no held-out data; only the participants’ training loss is shown once a round is published.'
          : 'The model is evaluated when the run starts, and again after each round.'}
      </Text>
    );
  }
  return (
    <>
      <RoundsChart
        run={run}
        label="Held-out loss, mean training loss and held-out accuracy by round; round 0 is the untuned model"
        lines={lossLines}
      />
      {marginLines(run).length > 0 ? (
        <RoundsChart
          run={run}
          label="Reward margin on held-out pairs and in training by round"
          lines={marginLines}
          height={180}
        />
      ) : null}
    </>
  );
}
