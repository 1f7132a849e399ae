import { Accordion, Group, Progress, Stack, Text } from '@mantine/core';
import type { DataReport, TokenFigures } from '../trainer/messages.ts';
import type { Rejection } from '../trainer/rejections.ts';
import { formatCount, formatPercent } from '../ui/units.ts';

/** How long the examples are. */
export function Histogram({ tokens, rows }: { tokens: TokenFigures; rows: string }) {
  const most = Math.max(1, ...tokens.histogram);
  const bins = tokens.histogram.length;
  const label = `Token lengths from 0 to ${tokens.max}: ${tokens.histogram.join(', ')} ${rows} per bin`;
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

function RejectionLine({ reason, count, lines }: Rejection) {
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
