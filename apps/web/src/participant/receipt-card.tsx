import type { RunView } from '@cotune/fl-core/protocol';
import { Code, SimpleGrid, Text } from '@mantine/core';
import { useJoinStore } from '../stores/join-store.ts';
import { Figure } from '../ui/figure.tsx';
import { publishedRounds } from '../ui/rounds.ts';
import { Section } from '../ui/section.tsx';
import { formatBytes, formatCount } from '../ui/units.ts';

export interface Receipt {
  readonly rounds: number;
  readonly examples: number;
  readonly bytes: number;
  readonly adapterSha256: string | null;
}

/** What one participant contributed, as the coordinator recorded it. */
export function receiptOf(run: RunView, participantId: string | null): Receipt {
  const mine = publishedRounds(run).flatMap((round) =>
    round.received.filter((update) => update.participantId === participantId),
  );
  return {
    rounds: mine.length,
    examples: Math.max(0, ...mine.map(({ examples }) => examples)),
    bytes: mine.reduce((sum, { bytes }) => sum + bytes, 0),
    adapterSha256: run.adapter?.sha256 ?? null,
  };
}

export function ReceiptCard() {
  const run = useJoinStore((state) => state.run);
  const participantId = useJoinStore((state) => state.participantId);
  if (!run) return null;
  const { rounds, examples, bytes, adapterSha256 } = receiptOf(run, participantId);
  return (
    <Section title="Your contribution" testId="receipt">
      {participantId ? (
        <SimpleGrid cols={{ base: 2, sm: 4 }}>
          <Figure
            label="Rounds counted"
            value={`${formatCount(rounds)} of ${formatCount(publishedRounds(run).length)}`}
          />
          <Figure label={run.config.task === 'dpo' ? 'Pairs' : 'Examples'} value={formatCount(examples)} />
          <Figure label="Bytes of updates" value={formatBytes(bytes)} />
          <Figure label="Participant" value={participantId} />
        </SimpleGrid>
      ) : (
        <Text size="sm" c="dimmed">
          This tab took no part in the run.
        </Text>
      )}
      <Text size="sm">
        Adapter SHA-256{' '}
        <Code data-testid="adapter-sha256" style={{ overflowWrap: 'anywhere' }}>
          {adapterSha256 ?? '–'}
        </Code>
      </Text>
    </Section>
  );
}
