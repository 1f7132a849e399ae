import { type InvitationView, isOver, type RunView } from '@cotune/fl-core/protocol';
import { Button, CopyButton, Group, NumberInput, Stack, Table, Text, TextInput } from '@mantine/core';
import { useState } from 'react';
import { useShallow } from 'zustand/react/shallow';
import { useAdminStore } from '../stores/admin-store.ts';
import { Section } from '../ui/section.tsx';
import { formatDateTime } from '../ui/units.ts';
import { invite, revokeInvitation } from './commands.ts';

function JoinLink({ url }: { url: string }) {
  return (
    <Group align="flex-end" wrap="nowrap">
      <TextInput
        label="Join link"
        description="Shown this once: copy it now"
        readOnly
        value={url}
        style={{ flex: 1, minWidth: 0 }}
        data-testid="join-link"
        onFocus={(event) => event.currentTarget.select()}
      />
      <CopyButton value={url}>
        {({ copied, copy }) => (
          <Button variant={copied ? 'light' : 'filled'} onClick={copy}>
            {copied ? 'Copied' : 'Copy'}
          </Button>
        )}
      </CopyButton>
    </Group>
  );
}

function InvitationRow({ invitation }: { invitation: InvitationView }) {
  const { uses, maxUses, expiresAtMs, revoked } = invitation;
  return (
    <Table.Tr>
      <Table.Td className="figures">
        {uses} of {maxUses}
      </Table.Td>
      <Table.Td>{formatDateTime(expiresAtMs)}</Table.Td>
      <Table.Td ta="right">
        {revoked ? (
          <Text size="sm" c="dimmed">
            revoked
          </Text>
        ) : (
          <Button variant="subtle" color="red" size="compact-sm" onClick={() => void revokeInvitation(invitation)}>
            Revoke
          </Button>
        )}
      </Table.Td>
    </Table.Tr>
  );
}

/** Join links of a run: make, copy, revoke. */
export function InviteCard({ run }: { run: RunView }) {
  const invitations = useAdminStore(
    useShallow((state) => Object.values(state.invitations).filter(({ runId }) => runId === run.runId)),
  );
  const [uses, setUses] = useState<string | number>(100);
  const [url, setUrl] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  if (isOver(run)) return null;
  const create = async () => {
    setBusy(true);
    const reply = await invite(run.runId, Math.max(1, Number(uses) || 1));
    if (reply) setUrl(reply.url);
    setBusy(false);
  };
  return (
    <Section title="Invite" testId="invite">
      <Stack gap="md">
        {url ? <JoinLink url={url} /> : null}
        <Group align="flex-end">
          <NumberInput label="How many may use it" min={1} max={100_000} value={uses} onChange={setUses} w={170} />
          <Button
            variant={url ? 'default' : 'filled'}
            loading={busy}
            onClick={() => void create()}
            data-testid="create-invitation"
          >
            {url ? 'Make another link' : 'Make a join link'}
          </Button>
        </Group>
        {invitations.length > 0 ? (
          <div className="table-scroll">
            <Table verticalSpacing={4} fz="sm">
              <Table.Thead>
                <Table.Tr>
                  <Table.Th>Used</Table.Th>
                  <Table.Th>Valid until</Table.Th>
                  <Table.Th aria-label="Actions" />
                </Table.Tr>
              </Table.Thead>
              <Table.Tbody>
                {invitations.map((invitation) => (
                  <InvitationRow key={invitation.invitationId} invitation={invitation} />
                ))}
              </Table.Tbody>
            </Table>
          </div>
        ) : null}
      </Stack>
    </Section>
  );
}
