import { Button, Group, Stack, Table, Text, TextInput } from '@mantine/core';
import { useState } from 'react';
import { join } from '../commands.ts';
import { useJoinStore } from '../stores/join-store.ts';
import { Section } from '../ui/section.tsx';
import { formatBytes } from '../ui/units.ts';

/** Exactly what leaves the tab, in bytes, and the button that agrees to it. */
export function ConsentCard() {
  const items = useJoinStore((state) => state.disclosed);
  const ready = useJoinStore((state) => state.data !== null && !state.dataBusy);
  const remembered = useJoinStore((state) => state.seatName);
  const [name, setName] = useState(remembered);
  const total = items.reduce((sum, item) => sum + item.bytesPerRound * item.rounds, 0);
  return (
    <Section title="What leaves this tab" step={3} testId="consent">
      <div className="table-scroll">
        <Table verticalSpacing="xs" fz="sm" data-testid="disclosure" data-total-bytes={total}>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Sent</Table.Th>
              <Table.Th ta="right">A round</Table.Th>
              <Table.Th ta="right">Times</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {items.map((item) => (
              <Table.Tr key={item.what}>
                <Table.Td>
                  {item.what}
                  <Text size="xs" c="dimmed">
                    {item.why}
                  </Text>
                </Table.Td>
                <Table.Td ta="right" className="figures">
                  {item.exact ? '' : '≤ '}
                  {formatBytes(item.bytesPerRound)}
                </Table.Td>
                <Table.Td ta="right" className="figures">
                  {item.rounds}
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
          <Table.Tfoot>
            <Table.Tr>
              <Table.Th>In the whole run, about</Table.Th>
              <Table.Th ta="right" className="figures">
                {formatBytes(total)}
              </Table.Th>
              <Table.Th />
            </Table.Tr>
          </Table.Tfoot>
        </Table>
      </div>
      <Text size="sm">
        <b>Never sent:</b> your files, their names, their text or tokens. An update is computed from your data, though:
        the coordinator sees each one, so join only runs of people you trust.
      </Text>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          join(name.trim());
        }}
      >
        <Stack gap="sm">
          <TextInput
            label="Display name"
            description="Shown to the organiser; may be left empty"
            value={name}
            maxLength={80}
            autoComplete="nickname"
            maw={360}
            onChange={(event) => setName(event.currentTarget.value)}
          />
          <Group>
            <Button type="submit" size="md" disabled={!ready} data-testid="join-button">
              Agree and join
            </Button>
            {ready ? null : (
              <Text size="sm" c="dimmed">
                Choose your data first.
              </Text>
            )}
          </Group>
        </Stack>
      </form>
    </Section>
  );
}
