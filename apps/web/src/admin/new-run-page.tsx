import { Alert, Button, Group, Stack, Title } from '@mantine/core';
import { type FormEvent, useState } from 'react';
import { useAdminStore } from '../stores/admin-store.ts';
import { Loading } from '../ui/loading.tsx';
import { Problem } from '../ui/problem.tsx';
import { navigate } from '../ui/route.ts';
import { AlgorithmSection } from './algorithm-section.tsx';
import { BasicsSection } from './basics-section.tsx';
import { createRun } from './commands.ts';
import { LoraSection } from './lora-section.tsx';
import { RoundsSection } from './rounds-section.tsx';
import { initialForm, parseForm, type RunForm } from './run-form.ts';
import { withFittingStart } from './start-choices.ts';
import { TaskSection } from './task-section.tsx';

function NewRunForm() {
  const models = useAdminStore((state) => state.models);
  const evaluations = useAdminStore((state) => state.evaluations);
  const [form, setForm] = useState<RunForm>(() => initialForm(models, evaluations));
  const [problems, setProblems] = useState<Readonly<Record<string, string>>>({});
  const [failure, setFailure] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setFailure(null);
    const parsed = parseForm({ ...form, config: withFittingStart(form.config, useAdminStore.getState().runs) });
    if ('problems' in parsed) return setProblems(parsed.problems);
    setProblems({});
    setBusy(true);
    try {
      const run = await createRun(parsed.config);
      navigate(`/admin/runs/${run.runId}`);
    } catch (error) {
      setFailure(error instanceof Error ? error.message : String(error));
      setBusy(false);
    }
  };
  const parts = { form, setForm, problems };
  const count = Object.keys(problems).length;
  return (
    <form onSubmit={(event) => void submit(event)} noValidate data-testid="new-run-form">
      <Stack gap="lg">
        <BasicsSection {...parts} models={models} evaluations={evaluations} />
        <TaskSection {...parts} />
        <RoundsSection {...parts} />
        <AlgorithmSection {...parts} />
        <LoraSection {...parts} />
        {count > 0 || failure ? (
          <Alert color="red" variant="light" role="alert" data-testid="form-problem">
            {failure ?? `Please correct ${count === 1 ? 'the marked field' : `the ${count} marked fields`}.`}
          </Alert>
        ) : null}
        <Group>
          <Button type="submit" size="md" loading={busy} data-testid="create-run">
            Create and open
          </Button>
          <Button variant="subtle" onClick={() => navigate('/admin')}>
            Cancel
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

export default function NewRunPage() {
  const loaded = useAdminStore((state) => state.loaded);
  const some = useAdminStore((state) => state.models.length > 0);
  return (
    <Stack gap="lg" maw={820}>
      <Title order={1}>New run</Title>
      {!loaded ? (
        <Loading what="models and data" />
      ) : some ? (
        <NewRunForm />
      ) : (
        <Problem
          tone="warning"
          title="The coordinator has no model"
          cause="Start it again with --demo for the embedded model, or with --model and a model directory."
        />
      )}
    </Stack>
  );
}
