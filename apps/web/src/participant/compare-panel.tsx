import { Alert, Button, Card, Group, NumberInput, SimpleGrid, Stack, Text, Textarea } from '@mantine/core';
import { type FormEvent, useEffect, useState } from 'react';
import { cancelGeneration, generate, loadResult } from '../commands.ts';
import { useJoinStore } from '../stores/join-store.ts';
import { Loading } from '../ui/loading.tsx';
import { Section } from '../ui/section.tsx';
import { formatBytes } from '../ui/units.ts';

const SEED = 1;

function Answer({ title, text, testId }: { title: string; text: string; testId: string }) {
  return (
    <Card withBorder padding="md">
      <Text size="sm" fw={600} mb={6}>
        {title}
      </Text>
      <Text className="generated" size="sm" data-testid={testId}>
        {text}
      </Text>
    </Card>
  );
}

/** The same prompt and seed with the base model and with the tuned adapter. */
export function ComparePanel() {
  const result = useJoinStore((state) => state.result);
  const bytes = useJoinStore((state) => state.model?.bytes ?? 0);
  const sample = useJoinStore((state) => state.samplePrompt);
  const [prompt, setPrompt] = useState('');
  const [maxTokens, setMaxTokens] = useState<string | number>(32);
  const [temperature, setTemperature] = useState<string | number>(0);
  const [base, setBase] = useState('');
  const [tuned, setTuned] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);
  useEffect(() => {
    if (sample) setPrompt((now) => now || sample);
  }, [sample]);
  const run = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    setBase('');
    setTuned('');
    const job = { prompt, maxTokens: Number(maxTokens) || 32, temperature: Number(temperature) || 0, seed: SEED };
    try {
      await generate({ ...job, tuned: false }, setBase);
      await generate({ ...job, tuned: true }, setTuned);
    } catch (cause) {
      setError(cause instanceof Error ? cause.message : String(cause));
    } finally {
      setBusy(false);
    }
  };
  return (
    <Section title="Before and after" testId="compare">
      {result === 'ready' ? (
        <form onSubmit={(event) => void run(event)}>
          <Stack gap="md">
            <Textarea
              label="Prompt"
              autosize
              minRows={2}
              maxRows={8}
              value={prompt}
              onChange={(event) => setPrompt(event.currentTarget.value)}
            />
            <Group align="flex-end">
              <NumberInput label="Most tokens" min={1} max={512} value={maxTokens} onChange={setMaxTokens} w={130} />
              <NumberInput
                label="Temperature"
                min={0}
                max={2}
                step={0.1}
                decimalScale={2}
                value={temperature}
                onChange={setTemperature}
                w={130}
              />
              <Button type="submit" loading={busy} disabled={prompt.trim() === ''} data-testid="compare-button">
                Generate both
              </Button>
              {busy ? (
                <Button variant="default" onClick={cancelGeneration}>
                  Stop
                </Button>
              ) : null}
            </Group>
            {error ? (
              <Alert color="red" variant="light" role="alert">
                {error}
              </Alert>
            ) : null}
            <SimpleGrid cols={{ base: 1, sm: 2 }} aria-busy={busy}>
              <Answer title="Base model" text={base} testId="answer-base" />
              <Answer title="Tuned together" text={tuned} testId="answer-tuned" />
            </SimpleGrid>
          </Stack>
        </form>
      ) : result === 'loading' ? (
        <Loading what="the model and the tuned adapter" />
      ) : (
        <Group>
          <Button onClick={loadResult}>Load the model ({formatBytes(bytes)}) and try it</Button>
        </Group>
      )}
    </Section>
  );
}
