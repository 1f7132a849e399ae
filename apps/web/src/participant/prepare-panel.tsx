import { Stack } from '@mantine/core';
import { useJoinStore } from '../stores/join-store.ts';
import { ConsentCard } from './consent-card.tsx';
import { DataCard } from './data-card.tsx';
import { PreflightCard } from './preflight-card.tsx';

/** Before joining: can this machine do it, with which data, and what will leave the tab. */
export function PreparePanel() {
  const possible = useJoinStore((state) => state.gpu.state !== 'impossible');
  return (
    <Stack gap="lg">
      <PreflightCard />
      {possible ? (
        <>
          <DataCard />
          <ConsentCard />
        </>
      ) : null}
    </Stack>
  );
}
