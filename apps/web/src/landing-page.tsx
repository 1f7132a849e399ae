import { Anchor, Button, Card, Group, SimpleGrid, Stack, Text, TextInput, Title } from '@mantine/core';
import { type FormEvent, useState } from 'react';
import { navigate } from './ui/route.ts';

const POINTS = [
  [
    'Your files stay on your machine',
    'The tab reads them locally and trains on your own GPU. There is no upload form for data.',
  ],
  [
    'Only adapter updates travel',
    'A small set of LoRA numbers leaves the tab after each round; its exact size is shown before you join.',
  ],
  [
    'Everyone leaves with the result',
    'The coordinator averages the updates, and each participant can try and download the tuned adapter.',
  ],
] as const;

/** The token in a pasted join link, or the token itself; undefined when there is none. */
export function joinToken(text: string): string | undefined {
  const trimmed = text.trim();
  const inLink = /\/join\/([^/?#\s]+)/.exec(trimmed)?.[1];
  if (inLink) return inLink;
  return /^[A-Za-z0-9_-]{8,200}$/.test(trimmed) ? trimmed : undefined;
}

export default function LandingPage() {
  const [link, setLink] = useState('');
  const [error, setError] = useState<string | null>(null);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const token = joinToken(link);
    if (token) navigate(`/join/${token}`);
    else setError('That is not a join link. Paste the whole link that you were sent; it contains /join/.');
  };
  return (
    <Stack gap="xl" py="lg">
      <Stack gap="sm" maw={720}>
        <Title order={1}>Tune a language model together, without moving anyone’s data</Title>
        <Text size="lg" c="dimmed">
          Cotune fine-tunes a Llama model across the browser tabs of several people. Each tab trains on its owner’s
          files; a coordinator combines what was learnt.
        </Text>
      </Stack>
      <Card withBorder padding="lg" maw={720}>
        <form onSubmit={submit} noValidate>
          <Stack gap="sm">
            <TextInput
              label="Join link"
              description="From the invitation that the organiser sent you"
              placeholder="https://…/join/…"
              size="md"
              value={link}
              error={error}
              autoComplete="off"
              spellCheck={false}
              onChange={(event) => {
                setLink(event.currentTarget.value);
                setError(null);
              }}
            />
            <Group justify="space-between">
              <Button type="submit" size="md">
                Continue
              </Button>
              <Anchor
                href="/admin"
                onClick={(event) => {
                  event.preventDefault();
                  navigate('/admin');
                }}
              >
                Organise a run
              </Anchor>
            </Group>
          </Stack>
        </form>
      </Card>
      <SimpleGrid cols={{ base: 1, sm: 3 }} spacing="lg">
        {POINTS.map(([title, text]) => (
          <div key={title}>
            <Text component="h2" fw={600} size="md" mb={4}>
              {title}
            </Text>
            <Text c="dimmed" size="sm">
              {text}
            </Text>
          </div>
        ))}
      </SimpleGrid>
    </Stack>
  );
}
