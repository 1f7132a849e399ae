import type { RunView } from '@cotune/fl-core/protocol';
import { Text } from '@mantine/core';
import { useAdminStore } from '../stores/admin-store.ts';
import { LineChart } from '../ui/line-chart.tsx';
import { publishedRounds } from '../ui/rounds.ts';
import { formatPercent } from '../ui/units.ts';

/** [round (0 = before tuning), held-out loss, mean training loss, accuracy]; null where a round was not evaluated. */
export function metricColumns(run: RunView): (number | null)[][] {
  const rounds = publishedRounds(run).map(({ round, evaluation, received }) => {
    const losses = received.flatMap(({ lossNats }) => (lossNats === null ? [] : [lossNats]));
    const trained = losses.length > 0 ? losses.reduce((sum, loss) => sum + loss, 0) / losses.length : null;
    return [round + 1, evaluation?.lossNats ?? null, trained, evaluation?.accuracy ?? null] as const;
  });
  const rows = run.baseline ? [[0, run.baseline.lossNats, null, run.baseline.accuracy] as const, ...rounds] : rounds;
  return [0, 1, 2, 3].map((column) => rows.map((row) => row[column] ?? null));
}

/** Loss and accuracy on the coordinator's held-out data over the rounds, with the participants' own training loss. */
export function MetricsChart({ runId }: { runId: string }) {
  const points = useAdminStore((state) => {
    const run = state.runs[runId];
    return run ? publishedRounds(run).length + (run.baseline ? 1 : 0) : 0;
  });
  const evaluated = useAdminStore((state) => state.runs[runId]?.config.evaluationId !== undefined);
  if (!evaluated && points === 0) {
    return (
      <Text size="sm" c="dimmed">
        This run has no held-out data; only the participants’ training loss is shown once a round is published.
      </Text>
    );
  }
  if (points === 0) {
    return (
      <Text size="sm" c="dimmed">
        The model is evaluated when the run starts, and again after each round.
      </Text>
    );
  }
  return (
    <LineChart
      label="Held-out loss, mean training loss and held-out accuracy by round; round 0 is the untuned model"
      xLabel="round"
      series={[
        { label: 'held-out loss', color: '--accent', points: true },
        { label: 'training loss', color: '--mantine-color-gray-5', width: 1, points: true, dash: [4, 4] },
        { label: 'accuracy', color: '--mantine-color-orange-6', points: true, scale: 'right', format: formatPercent },
      ]}
      rightRange={[0, 1]}
      xRange={() => [0, useAdminStore.getState().runs[runId]?.config.rounds ?? 1]}
      columns={() => {
        const run = useAdminStore.getState().runs[runId];
        return run ? metricColumns(run) : [[], [], [], []];
      }}
      subscribe={(listener) =>
        useAdminStore.subscribe((now, before) => {
          if (now.runs[runId] !== before.runs[runId]) listener();
        })
      }
    />
  );
}
