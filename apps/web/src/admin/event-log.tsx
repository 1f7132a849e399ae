import { ScrollArea, Text } from '@mantine/core';
import { useShallow } from 'zustand/react/shallow';
import { useAdminStore } from '../stores/admin-store.ts';
import { Section } from '../ui/section.tsx';

/** What went wrong in a run, newest first. */
export function EventLog({ runId }: { runId: string }) {
  const lines = useAdminStore(useShallow((state) => state.log.filter((line) => line.runId === runId)));
  if (lines.length === 0) return null;
  return (
    <Section title="Messages" testId="events">
      <ScrollArea.Autosize mah={260} type="auto" viewportProps={{ tabIndex: 0, 'aria-label': 'Messages' }}>
        {lines.toReversed().map(({ seq, atMs, message }) => (
          <Text size="sm" key={seq} className="figures">
            <Text span c="dimmed">
              {new Date(atMs).toLocaleTimeString('en-GB')}
            </Text>{' '}
            {message}
          </Text>
        ))}
      </ScrollArea.Autosize>
    </Section>
  );
}
