import { Accordion, Group, SimpleGrid, Stack, Table, Text } from '@mantine/core';
import type { DataReport, TokenFigures } from '../trainer/messages.ts';
import { Figure } from '../ui/figure.tsx';
import { formatBytes, formatCount } from '../ui/units.ts';

function Histogram({ tokens }: { tokens: TokenFigures }) {
  const most = Math.max(1, ...tokens.histogram);
  const bins = tokens.histogram.length;
  const label = `Token lengths from 0 to ${tokens.max}: ${tokens.histogram.join(', ')} examples per bin`;
  return (
    <div>
      <Text size="xs" c="dimmed" mb={4}>
        Length of the examples, tokens
      </Text>
      <svg
        width="100%"
        height="48"
        viewBox={`0 0 ${bins * 10} 48`}
        preserveAspectRatio="none"
        role="img"
        aria-label={label}
      >
        {tokens.histogram.map((count, bin) => {
          const height = count === 0 ? 0 : Math.max(2, (46 * count) / most);
          return (
            <rect
              // biome-ignore lint/suspicious/noArrayIndexKey: a bin is its index
              key={bin}
              x={bin * 10 + 1}
              width={8}
              y={48 - height}
              height={height}
              fill="var(--accent)"
            />
          );
        })}
      </svg>
      <Group justify="space-between">
        <Text size="xs" c="dimmed">
          0
        </Text>
        <Text size="xs" c="dimmed">
          {formatCount(tokens.max)}
        </Text>
      </Group>
    </div>
  );
}

function Rejected({ data }: { data: DataReport }) {
  return (
    <Accordion variant="contained">
      <Accordion.Item value="rejected">
        <Accordion.Control>
          {formatCount(data.rejectedCount)} row{data.rejectedCount === 1 ? '' : 's'} left out
        </Accordion.Control>
        <Accordion.Panel>
          <Stack gap={2} data-testid="rejected-rows">
            {data.rejected.map(({ line, reason }) => (
              <Text size="sm" key={`${line} ${reason}`}>
                <b>Line {formatCount(line)}:</b> {reason}
              </Text>
            ))}
            {data.rejectedCount > data.rejected.length ? (
              <Text size="sm" c="dimmed">
                … and {formatCount(data.rejectedCount - data.rejected.length)} more
              </Text>
            ) : null}
          </Stack>
        </Accordion.Panel>
      </Accordion.Item>
    </Accordion>
  );
}

/** What was understood of a file: counts, lengths, the first rows as the model will see them, and the rows left out. */
export function DataPreview({ data }: { data: DataReport }) {
  const { tokens } = data;
  return (
    <Stack gap="md" data-testid="data-preview" data-examples={data.examples}>
      <Text size="sm">
        <b>{data.name}</b> · {formatBytes(data.bytes)} · read as {data.format}
      </Text>
      <SimpleGrid cols={{ base: 2, sm: 4 }}>
        <Figure label="Usable examples" value={formatCount(data.examples)} />
        <Figure label="Tokens in all" value={formatCount(tokens.total)} />
        <Figure label="Median length" value={`${formatCount(tokens.median)} tokens`} />
        <Figure label="Longest" value={`${formatCount(tokens.max)} tokens`} />
      </SimpleGrid>
      <Histogram tokens={tokens} />
      <div className="table-scroll">
        <Table striped withTableBorder verticalSpacing="xs" fz="sm">
          <Table.Caption>First rows, as the model will see them</Table.Caption>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Prompt</Table.Th>
              <Table.Th>Answer to learn</Table.Th>
              <Table.Th ta="right">Tokens</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {data.preview.map(({ prompt, response, tokens: length }) => (
              <Table.Tr key={`${prompt}\n${response}`}>
                <Table.Td>
                  <Text size="sm" lineClamp={3}>
                    {prompt}
                  </Text>
                </Table.Td>
                <Table.Td>
                  <Text size="sm" lineClamp={3}>
                    {response}
                  </Text>
                </Table.Td>
                <Table.Td ta="right" className="figures">
                  {formatCount(length)}
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </div>
      {data.rejectedCount > 0 ? <Rejected data={data} /> : null}
    </Stack>
  );
}
