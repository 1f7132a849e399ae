import { isOver, type ParticipantView, type RunView } from '@cotune/fl-core/protocol';
import { Badge, Progress, Table, Text } from '@mantine/core';
import { useEffect, useState } from 'react';
import { useShallow } from 'zustand/react/shallow';
import { useAdminStore } from '../stores/admin-store.ts';
import { ConfirmButton } from '../ui/confirm-button.tsx';
import { Section } from '../ui/section.tsx';
import { formatAgo, formatCount, formatDateTime, formatFixed } from '../ui/units.ts';
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
          step {progress.step} of {progress.steps} · loss {formatFixed(progress.lossNats, 3)}
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

function Row({ participant, run, now }: { participant: ParticipantView; run: RunView; now: number }) {
  const { participantId, name, adapter, connected, lastSeenMs, progress, contributions, refusals } = participant;
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
                <Table.Th ta="right">Updates</Table.Th>
                <Table.Th ta="right">Refused</Table.Th>
                <Table.Th aria-label="Actions" />
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {participants.map((participant) => (
                <Row key={participant.participantId} participant={participant} run={run} now={now} />
              ))}
            </Table.Tbody>
          </Table>
        </div>
      )}
    </Section>
  );
}
