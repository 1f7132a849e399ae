import { Button, PasswordInput, Stack, Text, Title } from '@mantine/core';
import { type FormEvent, useState } from 'react';
import { useAdminStore } from '../stores/admin-store.ts';
import { Section } from '../ui/section.tsx';
import { logIn } from './commands.ts';

/** Logging in with the owner token that the coordinator printed. */
export function LoginPanel() {
  const problem = useAdminStore((state) => state.loginProblem);
  const [token, setToken] = useState('');
  const [busy, setBusy] = useState(false);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    await logIn(token.trim());
    setBusy(false);
  };
  return (
    <Stack gap="lg" maw={520}>
      <Title order={1}>Organise a run</Title>
      <Section title="Log in">
        <form onSubmit={(event) => void submit(event)}>
          <Stack gap="sm">
            <PasswordInput
              label="Owner token"
              description="The coordinator prints a link with it when it starts"
              value={token}
              error={problem}
              errorProps={{ role: 'alert', 'data-testid': 'login-problem' }}
              autoComplete="current-password"
              visibilityToggleButtonProps={{ 'aria-label': 'Show the token' }}
              onChange={(event) => setToken(event.currentTarget.value)}
            />
            <Button type="submit" loading={busy} disabled={token.trim() === ''}>
              Log in
            </Button>
            <Text size="sm" c="dimmed">
              To take part in a run, use the join link that the organiser sent you instead.
            </Text>
          </Stack>
        </form>
      </Section>
    </Stack>
  );
}
