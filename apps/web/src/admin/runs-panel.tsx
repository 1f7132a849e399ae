import type { RunView } from '@cotune/fl-core/protocol';
import { Anchor, Button, Group, Stack, Table, Text, Title } from '@mantine/core';
import { useAdminStore } from '../stores/admin-store.ts';
import { Loading } from '../ui/loading.tsx';
import { publishedRounds } from '../ui/rounds.ts';
import { navigate } from '../ui/route.ts';
import { TASK_WORDS } from '../ui/task-words.ts';
import { formatAgo, formatDateTime, formatFixed, formatPercent } from '../ui/units.ts';
import { PhaseBadge } from './phase-badge.tsx';

/** The best evaluation of a run so far, by loss. */
export function bestEvaluation(run: RunView) {
  const evaluations = run.rounds.flatMap(({ evaluation }) => (evaluation ? [evaluation] : []));
  return evaluations.reduce<(typeof evaluations)[number] | null>(
    (best, next) => (best === null || next.lossNats < best.lossNats ? next : best),
    null,
  );
}

function Row({ run }: { run: RunView }) {
  const best = bestEvaluation(run);
  const path = `/admin/runs/${run.runId}`;
  return (
    <Table.Tr data-testid="run-row">
      <Table.Td>
        <Anchor
          href={path}
          fw={600}
          onClick={(event) => {
            event.preventDefault();
            navigate(path);
          }}
        >
          {run.config.name}
        </Anchor>
      </Table.Td>
      <Table.Td>
        <PhaseBadge run={run} />
      </Table.Td>
      <Table.Td ta="right" className="figures">
        {publishedRounds(run).length} / {run.config.rounds}
      </Table.Td>
      <Table.Td ta="right" className="figures">
        {run.connected} of {run.participants}
      </Table.Td>
      <Table.Td ta="right" className="figures">
        {formatFixed(best?.lossNats, 3)}
      </Table.Td>
      <Table.Td ta="right" className="figures" title={TASK_WORDS[run.config.task].accuracyHint}>
        {formatPercent(best?.accuracy)}
      </Table.Td>
      <Table.Td title={formatDateTime(run.createdAtMs)}>{formatAgo(run.createdAtMs, Date.now())}</Table.Td>
    </Table.Tr>
  );
}

export default function RunsPanel() {
  const runs = useAdminStore((state) => state.runs);
  const loaded = useAdminStore((state) => state.loaded);
  const sorted = Object.values(runs).sort((a, b) => b.createdAtMs - a.createdAtMs);
  return (
    <Stack gap="lg">
      <Group justify="space-between">
        <Title order={1}>Runs</Title>
        <Button onClick={() => navigate('/admin/new')} data-testid="new-run">
          New run
        </Button>
      </Group>
      {!loaded ? (
        <Loading what="the runs" />
      ) : sorted.length === 0 ? (
        <Text c="dimmed">There is no run yet. Create one, then send its join link to the participants.</Text>
      ) : (
        <div className="table-scroll">
          <Table highlightOnHover withTableBorder verticalSpacing="sm" miw={720} bg="var(--mantine-color-body)">
            <Table.Thead>
              <Table.Tr>
                <Table.Th>Name</Table.Th>
                <Table.Th>Status</Table.Th>
                <Table.Th ta="right">Rounds</Table.Th>
                <Table.Th ta="right">Here now</Table.Th>
                <Table.Th ta="right">Best loss</Table.Th>
                <Table.Th ta="right">its accuracy</Table.Th>
                <Table.Th>Created</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {sorted.map((run) => (
                <Row key={run.runId} run={run} />
              ))}
            </Table.Tbody>
          </Table>
        </div>
      )}
    </Stack>
  );
}
