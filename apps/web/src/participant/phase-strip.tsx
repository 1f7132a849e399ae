import { Text } from '@mantine/core';
import { useJoinStore } from '../stores/join-store.ts';
import { formatBytes } from '../ui/units.ts';
import { currentPhase, PHASES, type Phase } from './phase.ts';

const TITLES = {
  download: 'Download',
  waiting: 'Waiting',
  training: 'Training',
  uploading: 'Uploading',
  aggregating: 'Combining',
  round: 'Round',
} as const satisfies Record<Phase, string>;

/** download → waiting → training i/N → uploading → combining → round r/R, with the present step marked. */
export function PhaseStrip() {
  const activity = useJoinStore((state) => state.activity);
  const run = useJoinStore((state) => state.run);
  const download = useJoinStore((state) => state.download);
  const phase = currentPhase(activity, run);
  const now = PHASES.indexOf(phase);
  const detail: Record<Phase, string> = {
    download:
      download && activity === null
        ? `${Math.floor((100 * download.doneBytes) / Math.max(1, download.totalBytes))} %`
        : 'done',
    waiting: run ? `${run.connected} here` : '',
    training:
      activity?.kind === 'training' ? `step ${activity.step} of ${activity.steps}` : `${run?.config.steps ?? 0} steps`,
    uploading: activity?.kind === 'uploading' ? `of ${formatBytes(activity.totalBytes)}` : '',
    aggregating: run?.roundPhase === 'evaluating' ? 'evaluating' : '',
    round: run ? `${Math.min(run.round + 1, run.config.rounds)} of ${run.config.rounds}` : '',
  };
  return (
    <ol className="phase-strip" aria-label="Where this tab is" data-testid="phase-strip" data-phase={phase}>
      {PHASES.map((name, index) => {
        const state = index === now ? 'now' : index < now || name === 'round' ? 'done' : 'later';
        return (
          <li key={name} data-state={state} aria-current={state === 'now' ? 'step' : undefined}>
            <Text size="sm" fw={600}>
              {TITLES[name]}
            </Text>
            <Text size="xs" className="figures" c="dimmed">
              {detail[name] || '\u00a0'}
            </Text>
          </li>
        );
      })}
    </ol>
  );
}
