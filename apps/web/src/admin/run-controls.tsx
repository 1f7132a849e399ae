import type { RunView } from '@cotune/fl-core/protocol';
import { Button, Group } from '@mantine/core';
import { useState } from 'react';
import { ConfirmButton } from '../ui/confirm-button.tsx';
import { commandRun, type RunCommand } from './commands.ts';

const MAIN = {
  draft: { command: 'run:open', label: 'Open for participants' },
  open: { command: 'run:start', label: 'Start' },
  running: { command: 'run:pause', label: 'Pause' },
  paused: { command: 'run:resume', label: 'Resume' },
} as const satisfies Partial<Record<RunView['phase'], { command: RunCommand; label: string }>>;

/** What can be done with a run in its phase. */
export function RunControls({ run }: { run: RunView }) {
  const [busy, setBusy] = useState(false);
  const main = run.phase in MAIN ? MAIN[run.phase as keyof typeof MAIN] : null;
  if (!main) return null;
  const act = async () => {
    setBusy(true);
    await commandRun(main.command, run.runId);
    setBusy(false);
  };
  return (
    <Group gap="sm">
      <Button
        loading={busy}
        variant={run.phase === 'running' ? 'default' : 'filled'}
        onClick={() => void act()}
        data-testid="run-main-command"
      >
        {main.label}
      </Button>
      <ConfirmButton
        label="Abort"
        title="Abort this run?"
        text="Participants are told and stop training. Published rounds stay; the run cannot be taken up again."
        testId="abort"
        onConfirm={() => commandRun('run:abort', run.runId)}
      />
    </Group>
  );
}
