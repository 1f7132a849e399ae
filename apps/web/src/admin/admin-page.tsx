import { Alert, Anchor, Button, Group, Stack, Text } from '@mantine/core';
import { lazy, Suspense, useEffect } from 'react';
import { useAdminStore } from '../stores/admin-store.ts';
import { Loading } from '../ui/loading.tsx';
import { navigate } from '../ui/route.ts';
import { dismissProblem, logOut, openAdmin } from './commands.ts';
import { LoginPanel } from './login-panel.tsx';

const RunsPanel = lazy(() => import('./runs-panel.tsx'));
const RunPage = lazy(() => import('./run-page.tsx'));
const NewRunPage = lazy(() => import('./new-run-page.tsx'));

function View({ path }: { path: string }) {
  const [, section, argument] = path.split('/').filter(Boolean);
  if (section === 'new') return <NewRunPage />;
  if (section === 'runs' && argument) return <RunPage key={argument} runId={decodeURIComponent(argument)} />;
  return <RunsPanel />;
}

function Bar({ path }: { path: string }) {
  const connection = useAdminStore((state) => state.connection);
  return (
    <Group justify="space-between">
      {path === '/admin' ? (
        <span />
      ) : (
        <Anchor
          href="/admin"
          onClick={(event) => {
            event.preventDefault();
            navigate('/admin');
          }}
        >
          ← All runs
        </Anchor>
      )}
      <Group gap="sm">
        <Text size="sm" c="dimmed" role="status" data-testid="admin-connection">
          {connection === 'online'
            ? 'Live'
            : connection === 'reconnecting'
              ? 'Connection lost, trying again…'
              : 'Connecting…'}
        </Text>
        <Button variant="subtle" size="compact-sm" onClick={() => void logOut()}>
          Log out
        </Button>
      </Group>
    </Group>
  );
}

export default function AdminPage({ path }: { path: string }) {
  const login = useAdminStore((state) => state.login);
  const problem = useAdminStore((state) => state.problem);
  useEffect(() => {
    document.title = 'Runs – Cotune';
    if (useAdminStore.getState().login === 'unknown') void openAdmin();
  }, []);
  if (login === 'unknown') return <Loading what="the console" />;
  if (login === 'out') return <LoginPanel />;
  return (
    <Stack gap="lg" data-testid="admin">
      <Bar path={path} />
      {problem ? (
        <Alert
          color="red"
          variant="light"
          role="alert"
          withCloseButton
          closeButtonLabel="Dismiss"
          onClose={dismissProblem}
        >
          {problem}
        </Alert>
      ) : null}
      <Suspense fallback={<Loading what="the page" />}>
        <View path={path} />
      </Suspense>
    </Stack>
  );
}
