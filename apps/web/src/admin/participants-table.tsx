import { isOver, type ParticipantView, type RunView } from '@cotune/fl-core/protocol';
import { Badge, Progress, Table, Text } from '@mantine/core';
import { useEffect, useState } from 'react';
import { useShallow } from 'zustand/react/shallow';
import { useAdminStore } from '../stores/admin-store.ts';
import { ConfirmButton } from '../ui/confirm-button.tsx';
import { lastRewards } from '../ui/rounds.ts';
import { Section } from '../ui/section.tsx';
import { TASK_WORDS } from '../ui/task-words.ts';
import { formatAgo, formatCount, formatDateTime, formatFixed, formatPercent, formatSigned } from '../ui/units.ts';
import { removeParticipant } from './commands.ts';

const CLOCK_MS = 5000;

function useClock(): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), CLOCK_MS);
    return () => clearInterval(timer);
  }, []);
  return now;
}

function Doing({ participant, run }: { participant: ParticipantView; run: RunView }) {
  const { progress, uploadedShare } = participant;
  if (uploadedShare !== null && uploadedShare < 1) {
    return (
      <>
        <Text size="xs">uploading {Math.round(uploadedShare * 100)} %</Text>
        <Progress size="sm" value={uploadedShare * 100} aria-label={`Upload of ${participant.name}`} />
      </>
    );
  }
  const collecting = run.roundPhase === 'training' || run.roundPhase === 'closing';
  const sent = run.rounds.at(-1)?.received.some(({ participantId }) => participantId === participant.participantId);
  if (collecting && sent) {
    return (
      <Text size="xs" c="dimmed">
        update sent
      </Text>
    );
  }
  if (collecting && progress && progress.round === run.round) {
    return (
      <>
        <Text size="xs" className="figures">
          step {progress.step} of {progress.steps} · {TASK_WORDS[run.config.task].loss}{' '}
          {formatFixed(progress.lossNats, 3)}
        </Text>
        <Progress
          size="sm"
          value={(100 * progress.step) / progress.steps}
          aria-label={`Training of ${participant.name}`}
        />
      </>
    );
  }
  return (
    <Text size="xs" c="dimmed">
      {isOver(run) ? '–' : 'waiting'}
    </Text>
  );
}

function Row(props: { participant: ParticipantView; run: RunView; now: number; withRewards: boolean }) {
  const { participant, run, now, withRewards } = props;
  const { participantId, name, adapter, connected, lastSeenMs, progress, contributions, refusals } = participant;
  // Of the step at hand, else of the last update that came.
  const rewards = progress?.rewards ?? lastRewards(run, participantId);
  return (
    <Table.Tr data-testid="participant-row">
      <Table.Td>
        <Text size="sm" fw={600}>
          {name}
        </Text>
        <Text size="xs" c="dimmed">
          {adapter}
        </Text>
      </Table.Td>
      <Table.Td>
        <Badge variant="light" color={connected ? 'teal' : 'gray'}>
          {connected ? 'here' : 'away'}
        </Badge>
        <Text size="xs" c="dimmed" title={formatDateTime(lastSeenMs)}>
          {formatAgo(lastSeenMs, now)}
        </Text>
      </Table.Td>
      <Table.Td miw={170}>
        <Doing participant={participant} run={run} />
      </Table.Td>
      <Table.Td ta="right" className="figures">
        {progress ? formatCount(progress.tokensPerSecond) : '–'}
      </Table.Td>
      {withRewards ? (
        <>
          <Table.Td ta="right" className="figures" data-testid="participant-reward-accuracy">
            {formatPercent(rewards?.accuracy)}
          </Table.Td>
          <Table.Td ta="right" className="figures">
            {formatSigned(rewards?.margin)}
          </Table.Td>
        </>
      ) : null}
      <Table.Td ta="right" className="figures">
        {formatCount(contributions)}
      </Table.Td>
      <Table.Td ta="right" className="figures">
        {formatCount(refusals)}
      </Table.Td>
      <Table.Td ta="right">
        {isOver(run) ? null : (
          <ConfirmButton
            label="Remove"
            subject={name}
            title={`Remove ${name}?`}
            text="It is disconnected and cannot come back to this run. Rounds that it contributed to stay as they are."
            onConfirm={() => removeParticipant(participantId, 'The organiser removed you.')}
          />
        )}
      </Table.Td>
    </Table.Tr>
  );
}

/** Everyone who joined, live. */
export function ParticipantsTable({ run }: { run: RunView }) {
  const participants = useAdminStore(
    useShallow((state) => Object.values(state.participants).filter(({ runId }) => runId === run.runId)),
  );
  const now = useClock();
  const withRewards = participants.some(
    ({ participantId, progress }) => progress?.rewards !== undefined || lastRewards(run, participantId) !== null,
  );
  return (
    <Section title="Participants" testId="participants">
      {participants.length === 0 ? (
        <Text size="sm" c="dimmed">
          Nobody has joined yet. Send someone the join link above.
        </Text>
      ) : (
        <div className="table-scroll">
          <Table verticalSpacing="xs" fz="sm" miw={780}>
            <Table.Thead>
              <Table.Tr>
                <Table.Th>Name and GPU</Table.Th>
                <Table.Th>Last seen</Table.Th>
                <Table.Th>Doing</Table.Th>
                <Table.Th ta="right">Tokens/s</Table.Th>
                {withRewards ? (
                  <>
                    <Table.Th ta="right">Reward accuracy</Table.Th>
                    <Table.Th ta="right">Margin</Table.Th>
                  </>
                ) : null}
                <Table.Th ta="right">Updates</Table.Th>
                <Table.Th ta="right">Refused</Table.Th>
                <Table.Th aria-label="Actions" />
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {participants.map((participant) => (
                <Row
                  key={participant.participantId}
                  participant={participant}
                  run={run}
                  now={now}
                  withRewards={withRewards}
                />
              ))}
            </Table.Tbody>
          </Table>
        </div>
      )}
    </Section>
  );
}
