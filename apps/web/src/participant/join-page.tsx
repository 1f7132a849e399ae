import { Button, Group, Loader, Stack, Text, Title } from '@mantine/core';
import { lazy, Suspense, useEffect } from 'react';
import { openInvitation, retry } from '../commands.ts';
import { pagePhase, useJoinStore } from '../stores/join-store.ts';
import { Loading } from '../ui/loading.tsx';
import { Problem } from '../ui/problem.tsx';
import { navigate } from '../ui/route.ts';
import { TASK_WORDS } from '../ui/task-words.ts';
import { formatBytes, formatCount } from '../ui/units.ts';
import { PreparePanel } from './prepare-panel.tsx';

// Charts and the running view load only when someone joins.
const RunPanel = lazy(() => import('./run-panel.tsx'));
const EndPanel = lazy(() => import('./end-panel.tsx'));

function Heading() {
  const run = useJoinStore((state) => state.run);
  const model = useJoinStore((state) => state.model);
  if (!run || !model) return null;
  const { config } = run;
  return (
    <Stack gap={4}>
      <Title order={1}>{config.name}</Title>
      <Text c="dimmed">
        {model.title} · {formatCount(model.parameters)} parameters · {formatBytes(model.bytes)} to download ·{' '}
        {TASK_WORDS[config.task].title} · {config.rounds} rounds of {config.steps} steps · {run.participants} joined so
        far
      </Text>
    </Stack>
  );
}

function Body() {
  const stage = useJoinStore((state) => state.stage);
  const problem = useJoinStore((state) => state.problem);
  const resuming = useJoinStore((state) => state.resuming);
  if (problem) {
    return (
      <Problem title={problem.title} cause={problem.cause}>
        {problem.retry ? (
          <Button onClick={retry}>Try again</Button>
        ) : (
          <Button variant="default" onClick={() => navigate('/')}>
            Enter another link
          </Button>
        )}
      </Problem>
    );
  }
  if (stage === 'loading') return <Loading what="the invitation" />;
  if (stage === 'active') return <RunPanel />;
  if (stage === 'ended') return <EndPanel />;
  if (resuming) {
    return (
      <Group gap="sm" role="status">
        <Loader size="sm" />
        <Text>Taking up where this tab was before the reload…</Text>
      </Group>
    );
  }
  return <PreparePanel />;
}

export default function JoinPage({ token }: { token: string }) {
  const phase = useJoinStore(pagePhase);
  const runName = useJoinStore((state) => state.run?.config.name);
  useEffect(() => openInvitation(token), [token]);
  useEffect(() => {
    document.title = runName ? `${runName} – Cotune` : 'Join a run – Cotune';
  }, [runName]);
  return (
    <Stack gap="lg" data-testid="join" data-phase={phase}>
      <Heading />
      <Suspense fallback={<Loading what="the page" />}>
        <Body />
      </Suspense>
    </Stack>
  );
}
