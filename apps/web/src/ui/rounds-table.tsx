import type { HeldOutMetrics, RunView } from '@cotune/fl-core/protocol';
import { Table, Text } from '@mantine/core';
import { formatBytes, formatCount, formatDuration, formatFixed, formatPercent } from './units.ts';

function EvaluationCells({ evaluation }: { evaluation: HeldOutMetrics | null }) {
  return (
    <>
      <Table.Td ta="right" className="figures">
        {formatFixed(evaluation?.lossNats, 3)}
      </Table.Td>
      <Table.Td ta="right" className="figures">
        {formatPercent(evaluation?.accuracy)}
      </Table.Td>
    </>
  );
}

/** One line a round: who took part, what was refused, how long it took and how the result did on held-out data. */
export function RoundsTable({ run }: { run: RunView }) {
  return (
    <div className="table-scroll">
      <Table verticalSpacing="xs" fz="sm" miw={620} data-testid="rounds-table">
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Round</Table.Th>
            <Table.Th ta="right">Updates</Table.Th>
            <Table.Th ta="right">Refused</Table.Th>
            <Table.Th ta="right">Received</Table.Th>
            <Table.Th ta="right">Time</Table.Th>
            <Table.Th ta="right">Held-out loss</Table.Th>
            <Table.Th ta="right">Accuracy</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {run.baseline ? (
            <Table.Tr data-testid="baseline-row">
              <Table.Td colSpan={5}>
                <Text size="sm" c="dimmed">
                  before tuning
                </Text>
              </Table.Td>
              <EvaluationCells evaluation={run.baseline} />
            </Table.Tr>
          ) : null}
          {run.rounds.map((round) => (
            <Table.Tr key={`${round.round}.${round.attempt}`} data-testid="round-row" data-phase={round.phase}>
              <Table.Td>
                {round.round + 1}
                {round.phase === 'published' ? null : (
                  <Text span size="xs" c="dimmed">
                    {' '}
                    {round.phase}
                  </Text>
                )}
                {round.note ? (
                  <Text size="xs" c="dimmed">
                    {round.note}
                  </Text>
                ) : null}
              </Table.Td>
              <Table.Td ta="right" className="figures">
                {round.received.length} of {round.sampled.length}
              </Table.Td>
              <Table.Td ta="right" className="figures" title={round.refused.map(({ message }) => message).join('\n')}>
                {formatCount(round.refused.length)}
              </Table.Td>
              <Table.Td ta="right" className="figures">
                {formatBytes(round.received.reduce((sum, { bytes }) => sum + bytes, 0))}
              </Table.Td>
              <Table.Td ta="right" className="figures">
                {round.publishedAtMs === null ? '–' : formatDuration(round.publishedAtMs - round.startedAtMs)}
              </Table.Td>
              <EvaluationCells evaluation={round.evaluation} />
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </div>
  );
}
