import type { RunView } from '@cotune/fl-core/protocol';
import { Badge } from '@mantine/core';

const COLORS = {
  draft: 'gray',
  open: 'blue',
  running: 'teal',
  paused: 'yellow',
  finished: 'teal',
  aborted: 'red',
  failed: 'red',
} as const satisfies Record<RunView['phase'], string>;

/** Status of a run in a word; while it runs, also what the round is doing. */
export function PhaseBadge({ run }: { run: RunView }) {
  const text = run.phase === 'running' && run.roundPhase ? `running · ${run.roundPhase}` : run.phase;
  return (
    <Badge
      variant="light"
      color={COLORS[run.phase]}
      data-testid="run-phase"
      data-phase={run.phase}
      title={run.reason ?? undefined}
    >
      {text}
    </Badge>
  );
}
