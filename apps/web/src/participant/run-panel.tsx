import { Group, Stack, Text } from '@mantine/core';
import { useJoinStore } from '../stores/join-store.ts';
import { RoundsTable } from '../ui/rounds-table.tsx';
import { Section } from '../ui/section.tsx';
import { ActivityCard } from './activity-card.tsx';
import { Banners } from './banners.tsx';
import { LossPanel } from './loss-panel.tsx';
import { PhaseStrip } from './phase-strip.tsx';
import { StopDialog } from './stop-dialog.tsx';

/** While taking part. */
export default function RunPanel() {
  const run = useJoinStore((state) => state.run);
  const awake = useJoinStore((state) => state.awake);
  return (
    <Stack gap="lg">
      <Banners />
      <PhaseStrip />
      <ActivityCard />
      <LossPanel />
      {run && run.rounds.length > 0 ? (
        <Section title="Rounds so far" testId="rounds">
          <RoundsTable run={run} />
        </Section>
      ) : null}
      <Group justify="space-between">
        <Text size="sm" c="dimmed">
          {awake ? 'The screen is kept on while this tab trains.' : 'Keep this computer awake while the tab trains.'}
        </Text>
        <StopDialog />
      </Group>
    </Stack>
  );
}
