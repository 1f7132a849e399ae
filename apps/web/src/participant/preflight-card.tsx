import { Alert, Badge, Group, SimpleGrid, Stack, Text } from '@mantine/core';
import { useJoinStore } from '../stores/join-store.ts';
import { Figure } from '../ui/figure.tsx';
import { Section } from '../ui/section.tsx';
import { formatBytes } from '../ui/units.ts';
import type { GpuVerdict } from './gpu-verdict.ts';

const BADGES = {
  detecting: { color: 'gray', text: 'Checking…' },
  ok: { color: 'teal', text: 'Ready' },
  degraded: { color: 'yellow', text: 'Works, slower' },
  impossible: { color: 'red', text: 'Cannot train here' },
} as const satisfies Record<GpuVerdict['state'], { color: string; text: string }>;

function Verdict({ gpu }: { gpu: GpuVerdict }) {
  if (gpu.state === 'detecting') return <Text c="dimmed">Asking the browser for its GPU…</Text>;
  if (gpu.state === 'ok') {
    return (
      <Text>
        <b>{gpu.name}.</b> {gpu.reason}
      </Text>
    );
  }
  return (
    <Alert
      color={gpu.state === 'degraded' ? 'yellow' : 'red'}
      variant="light"
      role={gpu.state === 'impossible' ? 'alert' : undefined}
    >
      <Stack gap={4}>
        <Text size="sm" fw={600}>
          {gpu.state === 'degraded' ? `${gpu.name}. ` : ''}
          {gpu.reason}
        </Text>
        <Text size="sm">{gpu.action}</Text>
      </Stack>
    </Alert>
  );
}

/** The GPU verdict, the estimated memory by term, and the room for the model. */
export function PreflightCard() {
  const gpu = useJoinStore((state) => state.gpu);
  const memory = useJoinStore((state) => state.memory);
  const storage = useJoinStore((state) => state.storage);
  const modelBytes = useJoinStore((state) => state.model?.bytes ?? 0);
  const badge = BADGES[gpu.state];
  const tight = storage !== null && storage.freeBytes !== null && storage.freeBytes < modelBytes;
  return (
    <Section
      title="This computer"
      step={1}
      testId="preflight"
      aside={
        <Badge color={badge.color} variant="light" size="lg" data-testid="gpu-verdict" data-state={gpu.state}>
          {badge.text}
        </Badge>
      }
    >
      <Verdict gpu={gpu} />
      {memory && gpu.state !== 'impossible' ? (
        <SimpleGrid cols={{ base: 2, sm: 4 }}>
          <Figure label="GPU memory, estimated" value={formatBytes(memory.totalBytes)} />
          <Figure label="of it weights" value={formatBytes(memory.weightBytes)} />
          <Figure label="adapter and optimiser" value={formatBytes(memory.adapterBytes)} />
          <Figure label="activations, at most" value={formatBytes(memory.activationBytes)} />
        </SimpleGrid>
      ) : null}
      {storage && gpu.state !== 'impossible' ? (
        <Group gap="xs">
          <Text size="sm" c={tight ? 'red' : 'dimmed'}>
            {storage.freeBytes === null
              ? 'The browser does not say how much it may store.'
              : `${formatBytes(storage.freeBytes)} free in this browser for the model’s ${formatBytes(modelBytes)}.`}{' '}
            {tight ? 'Free some space before you join.' : ''}
            {storage.persistent ? '' : 'Nothing can be kept here, so a reload downloads the model again.'}
          </Text>
        </Group>
      ) : null}
    </Section>
  );
}
