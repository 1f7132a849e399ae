import type { RejectionGroup } from '@cotune/fl-core';
import { Accordion, Group, Progress, Stack, Text } from '@mantine/core';
import type { DataReport, TokenFigures } from '../trainer/messages.ts';
import { formatCount, formatPercent } from '../ui/units.ts';

/** How long the examples are. */
export function Histogram({ tokens, rows }: { tokens: TokenFigures; rows: string }) {
  const most = Math.max(1, ...tokens.histogram.map(({ count }) => count));
  const bins = tokens.histogram.length;
  const begin = tokens.histogram[0]?.from ?? 0;
  const end = tokens.histogram.at(-1)?.to ?? 0;
  const counted = tokens.histogram.map(({ from, to, count }) => `${count} from ${from} to ${to - 1}`).join(', ');
  const label = `Token lengths of the ${rows}: ${counted}`;
  return (
    <div>
      <Text size="xs" c="dimmed" mb={4}>
        Length of the {rows}, tokens
      </Text>
      <svg
        width="100%"
        height="48"
        viewBox={`0 0 ${bins * 10} 48`}
        preserveAspectRatio="none"
        role="img"
        aria-label={label}
      >
        {tokens.histogram.map(({ from, count }, bin) => {
          const height = count === 0 ? 0 : Math.max(2, (46 * count) / most);
          return <rect key={from} x={bin * 10 + 1} width={8} y={48 - height} height={height} fill="var(--accent)" />;
        })}
      </svg>
      <Group justify="space-between">
        <Text size="xs" c="dimmed">
          {formatCount(begin)}
        </Text>
        <Text size="xs" c="dimmed">
          {formatCount(end)}
        </Text>
      </Group>
    </div>
  );
}

/** How often each answer occurs, where the data are a classification. */
export function Balance({ counts }: { counts: NonNullable<DataReport['answerCounts']> }) {
  const total = counts.reduce((sum, { count }) => sum + count, 0);
  return (
    <div data-testid="answer-balance">
      <Text size="xs" c="dimmed" mb={4}>
        Answers
      </Text>
      <Stack gap={4}>
        {counts.map(({ answer, count }) => (
          <Group key={answer} gap="sm" wrap="nowrap">
            <Text size="sm" w={140} truncate="end" title={answer}>
              {answer}
            </Text>
            <Progress flex={1} value={(100 * count) / total} aria-label={`Share of ${answer}`} />
            <Text size="sm" className="figures" ta="right" w={120}>
              {formatCount(count)} · {formatPercent(count / total)}
            </Text>
          </Group>
        ))}
      </Stack>
    </div>
  );
}

function RejectionLine({ reason, count, lines }: RejectionGroup) {
  if (count === 1) {
    return (
      <Text size="sm">
        <b>Line {formatCount(lines[0] ?? 0)}:</b> {reason}
      </Text>
    );
  }
  const more = count > lines.length ? ', …' : '';
  return (
    <Text size="sm">
      <b>{formatCount(count)} rows:</b> {reason}
      <Text span size="xs" c="dimmed">
        {' '}
        (lines {lines.map(formatCount).join(', ')}
        {more})
      </Text>
    </Text>
  );
}

/** The rows left out, by reason. */
export function Rejected({ data }: { data: DataReport }) {
  return (
    <Accordion variant="contained">
      <Accordion.Item value="rejected">
        <Accordion.Control>
          {formatCount(data.rejectedCount)} row{data.rejectedCount === 1 ? '' : 's'} left out
        </Accordion.Control>
        <Accordion.Panel>
          <Stack gap={2} data-testid="rejected-rows">
            {data.rejections.map((rejection) => (
              <RejectionLine key={rejection.reason} {...rejection} />
            ))}
          </Stack>
        </Accordion.Panel>
      </Accordion.Item>
    </Accordion>
  );
}
