import { Alert, Stack, Text } from '@mantine/core';
import { useJoinStore } from '../stores/join-store.ts';

/** What needs attention while training goes on; each with its one cause. */
export function Banners() {
  const connection = useJoinStore((state) => state.connection);
  const hidden = useJoinStore((state) => state.hidden);
  const notice = useJoinStore((state) => state.notice);
  const paused = useJoinStore((state) =>
    state.run?.phase === 'paused' ? (state.run.reason ?? 'by the organiser') : null,
  );
  return (
    <Stack gap="xs" role="status">
      {connection === 'reconnecting' ? (
        <Alert color="yellow" variant="light" title="Connection lost" data-testid="reconnect-banner">
          Training goes on; what is ready is sent as soon as the coordinator can be reached again.
        </Alert>
      ) : null}
      {paused ? (
        <Alert color="blue" variant="light" title="The run is paused">
          {paused}. It goes on when the organiser resumes it; leave this tab open.
        </Alert>
      ) : null}
      {hidden ? (
        <Alert color="yellow" variant="light" title="This tab is hidden">
          Browsers slow hidden tabs down. Keep it visible, in a window of its own, until the run is over.
        </Alert>
      ) : null}
      {notice ? (
        <Text size="sm" c="dimmed" data-testid="notice">
          {notice}
        </Text>
      ) : null}
    </Stack>
  );
}
