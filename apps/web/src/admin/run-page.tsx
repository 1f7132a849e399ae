import { isOver, type RunView } from '@cotune/fl-core/protocol';
import { Alert, Group, SimpleGrid, Stack, Text, Title } from '@mantine/core';
import { useEffect } from 'react';
import { useAdminStore } from '../stores/admin-store.ts';
import { Figure } from '../ui/figure.tsx';
import { Loading } from '../ui/loading.tsx';
import { figuresOf, publishedRounds } from '../ui/rounds.ts';
import { RoundsTable } from '../ui/rounds-table.tsx';
import { Section } from '../ui/section.tsx';
import { TASK_WORDS } from '../ui/task-words.ts';
import { formatBytes, formatDateTime, formatPercent, formatSigned } from '../ui/units.ts';
import { loadRun } from './commands.ts';
import { EventLog } from './event-log.tsx';
import { InviteCard } from './invite-card.tsx';
import { MetricsChart } from './metrics-chart.tsx';
import { ParticipantsTable } from './participants-table.tsx';
import { PhaseBadge } from './phase-badge.tsx';
import { RunControls } from './run-controls.tsx';

function Summary({ run }: { run: RunView }) {
  const { config } = run;
  const { accuracy } = TASK_WORDS[config.task];
  const { heldOut } = figuresOf(run);
  const last = publishedRounds(run).findLast(({ evaluation }) => evaluation !== null)?.evaluation ?? null;
  const received = run.rounds.flatMap((round) => round.received).reduce((sum, { bytes }) => sum + bytes, 0);
  return (
    <SimpleGrid cols={{ base: 2, sm: 3, md: 6 }}>
      <Figure label="Round" value={`${Math.min(run.round + 1, config.rounds)} of ${config.rounds}`} />
      <Figure
        label={isOver(run) ? 'Participants' : 'Here now'}
        value={isOver(run) ? `${run.participants}` : `${run.connected} of ${run.participants}`}
        hint={isOver(run) ? '' : `needs ${config.participants.min}`}
        testId="connected"
      />
      {heldOut ? (
        <>
          <Figure label={`${accuracy} before`} value={formatPercent(run.baseline?.accuracy)} />
          <Figure label={`${accuracy} now`} value={formatPercent(last?.accuracy)} testId="accuracy-now" />
        </>
      ) : null}
      {last?.classes ? (
        <Figure
          label="F1 macro now"
          value={formatPercent(last.classes.f1Macro)}
          hint={`of ${last.classes.count} classes`}
          testId="f1-now"
        />
      ) : null}
      {last?.rewards ? (
        <Figure label="Reward margin now" value={formatSigned(last.rewards.margin)} testId="margin-now" />
      ) : null}
      <Figure label="Received" value={formatBytes(received)} />
      <Figure label="Algorithm" value={config.algorithm.id} hint={`${config.steps} steps × ${config.batchSize}`} />
    </SimpleGrid>
  );
}

export default function RunPage({ runId }: { runId: string }) {
  const run = useAdminStore((state) => state.runs[runId]);
  const loaded = useAdminStore((state) => state.loaded);
  const online = useAdminStore((state) => state.connection === 'online');
  const name = run?.config.name;
  const joined = run?.participants;
  useEffect(() => {
    // Invitations' uses are not in the event stream: read them again when someone joined.
    if (online && joined !== undefined) void loadRun(runId);
  }, [runId, online, joined]);
  useEffect(() => {
    document.title = name ? `${name} – Cotune` : 'Run – Cotune';
  }, [name]);
  if (!run) return loaded ? <Text>The coordinator has no run with this address.</Text> : <Loading what="the run" />;
  return (
    <Stack gap="lg" data-testid="run-page" data-phase={run.phase} data-rounds={publishedRounds(run).length}>
      <Group justify="space-between" align="flex-start">
        <Stack gap={4}>
          <Title order={1}>{run.config.name}</Title>
          <Group gap="xs">
            <PhaseBadge run={run} />
            <Text size="sm" c="dimmed">
              {run.config.modelId} · {TASK_WORDS[run.config.task].title} · created {formatDateTime(run.createdAtMs)}
            </Text>
          </Group>
        </Stack>
        <RunControls run={run} />
      </Group>
      {run.reason ? (
        <Alert color={run.phase === 'failed' ? 'red' : 'yellow'} variant="light">
          {run.reason}
        </Alert>
      ) : null}
      <Summary run={run} />
      <InviteCard run={run} />
      <ParticipantsTable run={run} />
      <Section title={figuresOf(run).heldOut ? 'Held-out evaluation' : 'Training'} testId="metrics">
        <MetricsChart run={run} />
      </Section>
      <Section title="Rounds" testId="rounds">
        {run.rounds.length > 0 || run.baseline ? (
          <RoundsTable run={run} />
        ) : (
          <Text size="sm" c="dimmed">
            No round has been published yet.
          </Text>
        )}
      </Section>
      <EventLog runId={runId} />
    </Stack>
  );
}
