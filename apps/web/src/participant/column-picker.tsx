import { Button, Group, NativeSelect, SimpleGrid, Stack, Table, Text } from '@mantine/core';
import { type FormEvent, useState } from 'react';
import { chooseColumns } from '../commands.ts';
import { useJoinStore } from '../stores/join-store.ts';
import { COLUMN_ROLES, type ColumnChoice, type ColumnRole, type FileColumn, NO_COLUMNS } from '../trainer/columns.ts';

const ROLE_LABELS = {
  prompt: 'Prompt',
  response: 'Answer to learn',
  chosen: 'Chosen answer',
  rejected: 'Rejected answer',
} as const satisfies Record<ColumnRole, string>;

/** What is wrong with a choice, or null. */
export function choiceProblem(roles: readonly ColumnRole[], choice: ColumnChoice): string | null {
  const missing = roles.find((role) => choice[role] === '');
  if (missing) return `Choose a column for “${ROLE_LABELS[missing]}”.`;
  const twice = roles.find(
    (role, i) => roles.indexOf(role) === i && roles.some((r, j) => j > i && choice[r] === choice[role]),
  );
  return twice ? `“${choice[twice]}” is chosen twice.` : null;
}

function Samples({ columns }: { columns: readonly FileColumn[] }) {
  return (
    <div className="table-scroll">
      <Table withTableBorder verticalSpacing={4} fz="sm">
        <Table.Caption>Columns of this file, with some of their values</Table.Caption>
        <Table.Tbody>
          {columns.map(({ name, samples }) => (
            <Table.Tr key={name}>
              <Table.Th scope="row">{name}</Table.Th>
              <Table.Td>
                <Text size="sm" lineClamp={2} {...(samples.length > 0 ? {} : { c: 'dimmed' })}>
                  {samples.join(' · ') || 'empty'}
                </Text>
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </div>
  );
}

/** Lets the owner say which column of a file is which. */
export function ColumnPicker({ columns }: { columns: readonly FileColumn[] }) {
  const task = useJoinStore((state) => state.run?.config.task ?? 'sft');
  const busy = useJoinStore((state) => state.dataBusy);
  const mapped = useJoinStore((state) => state.data?.columns ?? null);
  const [choice, setChoice] = useState<ColumnChoice>(mapped ?? NO_COLUMNS);
  const roles = COLUMN_ROLES[task];
  const problem = choiceProblem(roles, choice);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (problem === null) chooseColumns(choice);
  };
  return (
    <form onSubmit={submit} data-testid="column-picker">
      <Stack gap="sm">
        <Text size="sm">Say which column of the file is which:</Text>
        <SimpleGrid cols={{ base: 1, sm: roles.length }}>
          {roles.map((role) => (
            <NativeSelect
              key={role}
              label={ROLE_LABELS[role]}
              data={[{ value: '', label: 'Choose…' }, ...columns.map(({ name }) => ({ value: name, label: name }))]}
              value={choice[role]}
              onChange={(event) => setChoice({ ...choice, [role]: event.currentTarget.value })}
            />
          ))}
        </SimpleGrid>
        <Samples columns={columns} />
        <Group>
          <Button type="submit" disabled={problem !== null} loading={busy} data-testid="use-columns">
            Read these columns
          </Button>
          {mapped ? (
            <Button variant="default" disabled={busy} onClick={() => chooseColumns(null)}>
              Go by the file’s own names
            </Button>
          ) : null}
          {problem ? (
            <Text size="sm" c="dimmed">
              {problem}
            </Text>
          ) : null}
        </Group>
      </Stack>
    </form>
  );
}
