import { SimpleGrid, Stack, Table, Text } from '@mantine/core';
import { COLUMN_ROLES } from '../trainer/columns.ts';
import type { DataReport, PreviewRow } from '../trainer/messages.ts';
import { Figure } from '../ui/figure.tsx';
import { TASK_WORDS } from '../ui/task-words.ts';
import { formatBytes, formatCount } from '../ui/units.ts';
import { Balance, Histogram, Rejected } from './data-figures.tsx';

function Cut({ text }: { text: string }) {
  return (
    <Text size="sm" lineClamp={3}>
      {text}
    </Text>
  );
}

function Question({ row: { earlier, earlierTurns, prompt } }: { row: PreviewRow }) {
  return (
    <>
      {earlierTurns > 0 ? (
        <Text size="xs" c="dimmed" lineClamp={2}>
          after {earlierTurns === 1 ? 'one turn' : `${formatCount(earlierTurns)} turns`}: {earlier.join(' ')}
        </Text>
      ) : null}
      {prompt === '' ? (
        <Text size="sm" c="dimmed">
          none: the text is learnt as it is
        </Text>
      ) : (
        <Cut text={prompt} />
      )}
    </>
  );
}

function FirstRows({ data }: { data: DataReport }) {
  const answers = data.task === 'dpo' ? ['Chosen answer', 'Rejected answer'] : ['Answer to learn'];
  return (
    <div className="table-scroll">
      <Table striped withTableBorder verticalSpacing="xs" fz="sm" data-testid="first-rows">
        <Table.Caption>First {data.task === 'dpo' ? 'pairs' : 'rows'}, as the model will see them</Table.Caption>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{data.task === 'dpo' ? 'Question' : 'Prompt'}</Table.Th>
            {answers.map((title) => (
              <Table.Th key={title}>{title}</Table.Th>
            ))}
            <Table.Th ta="right">Tokens</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {data.preview.map((row) => (
            <Table.Tr key={row.line}>
              <Table.Td>
                <Question row={row} />
              </Table.Td>
              {answers.map((title, i) => (
                <Table.Td key={title}>
                  <Cut text={row.answers[i] ?? ''} />
                </Table.Td>
              ))}
              <Table.Td ta="right" className="figures">
                {formatCount(row.tokens)}
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </div>
  );
}

/** How the file was read: by a format, or by the columns that the owner chose. */
function readAs({ format, columns, task }: DataReport): string {
  if (columns === null) return format ? `, read as ${format}` : '';
  return `, read by its columns ${COLUMN_ROLES[task].map((role) => `“${columns[role]}”`).join(', ')}`;
}

/** What was understood of a file: counts, lengths, balance, the first rows as the model will see them, and the rows left out. */
export function DataPreview({ data }: { data: DataReport }) {
  const { tokens, duplicates, emptyRows } = data;
  const { rows } = TASK_WORDS[data.task];
  const skipped = [
    duplicates > 0 ? `${formatCount(duplicates)} repeated` : '',
    emptyRows > 0 ? `${formatCount(emptyRows)} empty` : '',
    tokens.truncated > 0 ? `${formatCount(tokens.truncated)} cut to the run’s length` : '',
  ].filter(Boolean);
  return (
    <Stack gap="md" data-testid="data-preview" data-examples={data.examples}>
      <Text size="sm">
        <b>{data.name}</b> · {formatBytes(data.bytes)}
        {readAs(data)}
        {skipped.length > 0 ? ` · rows: ${skipped.join(', ')}` : ''}
      </Text>
      <SimpleGrid cols={{ base: 2, sm: 4 }}>
        <Figure label={`Usable ${rows}`} value={formatCount(data.examples)} />
        <Figure label="Tokens in all" value={formatCount(tokens.total)} />
        <Figure label="Median length" value={`${formatCount(tokens.median)} tokens`} />
        <Figure label="Longest" value={`${formatCount(tokens.max)} tokens`} />
      </SimpleGrid>
      <Histogram tokens={tokens} rows={rows} />
      {data.answerCounts ? <Balance counts={data.answerCounts} /> : null}
      <FirstRows data={data} />
      {data.rejectedCount > 0 ? <Rejected data={data} /> : null}
    </Stack>
  );
}
