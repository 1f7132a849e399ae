import { Alert, Button, Group, Stack, Text } from '@mantine/core';
import { useState } from 'react';
import { downloadPeft, forgetData, retry } from '../commands.ts';
import { type Ending, useJoinStore } from '../stores/join-store.ts';
import { RoundsTable } from '../ui/rounds-table.tsx';
import { Section } from '../ui/section.tsx';
import { ComparePanel } from './compare-panel.tsx';
import { LossPanel } from './loss-panel.tsx';
import { ReceiptCard } from './receipt-card.tsx';

function words(ending: Ending): { color: string; title: string; text: string } {
  switch (ending.kind) {
    case 'finished':
      return {
        color: 'teal',
        title: 'The run is finished',
        text: 'The tuned adapter can be tried below and taken along.',
      };
    case 'stopped': {
      const text = ending.how === 'submit' ? 'What was learnt so far was sent.' : 'This round’s work was thrown away.';
      return { color: 'blue', title: 'You left the run', text };
    }
    case 'removed':
      return {
        color: 'red',
        title: 'You were removed from the run',
        text: `${ending.reason} Ask the organiser if this is a mistake.`,
      };
    case 'aborted':
      return { color: 'red', title: 'The run was ended', text: ending.reason };
    default:
      return ending satisfies never;
  }
}

function SaveButton() {
  const name = useJoinStore((state) => state.run?.config.name ?? 'adapter');
  const [error, setError] = useState<string | null>(null);
  const save = () => {
    setError(null);
    downloadPeft(`${name.replace(/[^\w-]+/g, '-').toLowerCase()}-peft`).catch((cause: unknown) =>
      setError(String(cause)),
    );
  };
  return (
    <Group gap="sm">
      <Button onClick={save} data-testid="download-peft">
        Download the adapter (PEFT)
      </Button>
      <Text size="sm" c={error ? 'var(--mantine-color-error)' : 'dimmed'}>
        {error ?? 'adapter_model.safetensors and adapter_config.json, for Hugging Face PEFT'}
      </Text>
    </Group>
  );
}

function ForgetButton() {
  const [done, setDone] = useState(false);
  return (
    <Button variant="default" disabled={done} onClick={() => void forgetData().then(() => setDone(true))}>
      {done ? 'Data removed from this browser' : 'Remove my data from this browser'}
    </Button>
  );
}

/** After the run: the outcome, base beside tuned, the adapter to take away, and the receipt. */
export default function EndPanel() {
  const ending = useJoinStore((state) => state.ending);
  const run = useJoinStore((state) => state.run);
  const ready = useJoinStore((state) => state.result === 'ready');
  const notice = useJoinStore((state) => state.notice);
  const trained = useJoinStore((state) => state.activity !== null);
  if (!ending) return null;
  const { color, title, text } = words(ending);
  const finished = ending.kind === 'finished';
  return (
    <Stack gap="lg">
      <Alert color={color} variant="light" title={title} data-testid="ending">
        {text}
      </Alert>
      {notice ? <Text size="sm">{notice}</Text> : null}
      {finished ? <ComparePanel /> : null}
      {finished && ready ? <SaveButton /> : null}
      <ReceiptCard />
      {run && run.rounds.length > 0 ? (
        <Section title="Rounds" testId="rounds">
          <RoundsTable run={run} />
        </Section>
      ) : null}
      {trained ? <LossPanel /> : null}
      <Group>
        <ForgetButton />
        {ending.kind === 'stopped' ? <Button onClick={retry}>Join again</Button> : null}
      </Group>
    </Stack>
  );
}
