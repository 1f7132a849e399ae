import type { HeldOutMetrics, Rewards, RoundSummary, RunView } from '@cotune/fl-core/protocol';
import { Table, Text } from '@mantine/core';
import type { ReactNode } from 'react';
import { figuresOf, trainingRewards } from './rounds.ts';
import { TASK_WORDS } from './task-words.ts';
import { formatBytes, formatCount, formatDuration, formatFixed, formatPercent, formatSigned } from './units.ts';

type Figures = ReturnType<typeof figuresOf>;

function Cell({ children, title }: { children: ReactNode; title?: string | undefined }) {
  return (
    <Table.Td ta="right" className="figures" title={title}>
      {children}
    </Table.Td>
  );
}

function RewardCells({ rewards }: { rewards: Rewards | null }) {
  return (
    <>
      <Cell>{formatPercent(rewards?.accuracy)}</Cell>
      <Cell>{formatSigned(rewards?.margin)}</Cell>
    </>
  );
}

function EvaluationCells({ evaluation, figures }: { evaluation: HeldOutMetrics | null; figures: Figures }) {
  if (!figures.heldOut) return null;
  const classes = evaluation?.classes;
  const rewards = evaluation?.rewards;
  const averages =
    classes && `F1 micro ${formatPercent(classes.f1Micro)}, weighted ${formatPercent(classes.f1Weighted)}`;
  const sides = rewards && `chosen ${formatSigned(rewards.chosen)}, rejected ${formatSigned(rewards.rejected)}`;
  return (
    <>
      <Cell>{formatFixed(evaluation?.lossNats, 3)}</Cell>
      <Cell>{formatPercent(evaluation?.accuracy)}</Cell>
      {figures.classes ? (
        <>
          <Cell>{formatPercent(classes?.accuracy)}</Cell>
          <Cell title={averages}>{formatPercent(classes?.f1Macro)}</Cell>
        </>
      ) : null}
      {figures.heldOutRewards ? <Cell title={sides}>{formatSigned(rewards?.margin)}</Cell> : null}
    </>
  );
}

function Head({ run, figures }: { run: RunView; figures: Figures }) {
  const words = TASK_WORDS[run.config.task];
  return (
    <Table.Thead>
      <Table.Tr>
        <Table.Th>Round</Table.Th>
        <Table.Th ta="right">Updates</Table.Th>
        <Table.Th ta="right">Refused</Table.Th>
        <Table.Th ta="right">Received</Table.Th>
        <Table.Th ta="right">Time</Table.Th>
        {figures.trainingRewards ? (
          <>
            <Table.Th ta="right">Training reward accuracy</Table.Th>
            <Table.Th ta="right">Training margin</Table.Th>
          </>
        ) : null}
        {figures.heldOut ? (
          <>
            <Table.Th ta="right">Held-out {words.loss}</Table.Th>
            <Table.Th ta="right" title={words.accuracyHint}>
              {words.accuracy}
            </Table.Th>
          </>
        ) : null}
        {figures.classes ? (
          <>
            <Table.Th ta="right" title="Held-out rows whose class of highest likelihood is the right one">
              Class accuracy
            </Table.Th>
            <Table.Th ta="right">F1 macro</Table.Th>
          </>
        ) : null}
        {figures.heldOutRewards ? <Table.Th ta="right">Margin</Table.Th> : null}
      </Table.Tr>
    </Table.Thead>
  );
}

function RoundRow({ round, figures }: { round: RoundSummary; figures: Figures }) {
  return (
    <Table.Tr data-testid="round-row" data-phase={round.phase}>
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
      <Cell>
        {round.received.length} of {round.sampled.length}
      </Cell>
      <Cell title={round.refused.map(({ message }) => message).join('\n')}>{formatCount(round.refused.length)}</Cell>
      <Cell>{formatBytes(round.received.reduce((sum, { bytes }) => sum + bytes, 0))}</Cell>
      <Cell>{round.publishedAtMs === null ? '–' : formatDuration(round.publishedAtMs - round.startedAtMs)}</Cell>
      {figures.trainingRewards ? <RewardCells rewards={trainingRewards(round)} /> : null}
      <EvaluationCells evaluation={round.evaluation} figures={figures} />
    </Table.Tr>
  );
}

/** One line a round: who took part, what was refused, how long it took and how the result did on held-out data. */
export function RoundsTable({ run }: { run: RunView }) {
  const figures = figuresOf(run);
  return (
    <div className="table-scroll">
      <Table verticalSpacing="xs" fz="sm" miw={620} data-testid="rounds-table">
        <Head run={run} figures={figures} />
        <Table.Tbody>
          {run.baseline ? (
            <Table.Tr data-testid="baseline-row">
              <Table.Td colSpan={figures.trainingRewards ? 7 : 5}>
                <Text size="sm" c="dimmed">
                  before tuning
                </Text>
              </Table.Td>
              <EvaluationCells evaluation={run.baseline} figures={figures} />
            </Table.Tr>
          ) : null}
          {run.rounds.map((round) => (
            <RoundRow key={`${round.round}.${round.attempt}`} round={round} figures={figures} />
          ))}
        </Table.Tbody>
      </Table>
    </div>
  );
}
