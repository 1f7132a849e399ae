import { Progress, SimpleGrid, Stack, Text } from '@mantine/core';
import { useJoinStore } from '../stores/join-store.ts';
import { Figure } from '../ui/figure.tsx';
import { Section } from '../ui/section.tsx';
import { TASK_WORDS } from '../ui/task-words.ts';
import { formatBytes, formatCount, formatDuration, formatFixed, formatPercent, formatSigned } from '../ui/units.ts';
import { timeLeftMs } from './phase.ts';

interface Bar {
  readonly text: string;
  readonly share: number | null;
  readonly left: string;
}

const STAGE_TEXT = {
  downloading: 'Downloading the model',
  verifying: 'Checking the model',
  loading: 'Loading the model onto the GPU',
} as const;

const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);

function useBar(): Bar {
  const activity = useJoinStore((state) => state.activity);
  const download = useJoinStore((state) => state.download);
  const since = useJoinStore((state) => state.activitySinceMs);
  const minimum = useJoinStore((state) => state.run?.config.participants.min ?? 1);
  const elapsed = Date.now() - since;
  if (activity === null) {
    if (!download) return { text: 'Preparing the engine…', share: null, left: '' };
    const { doneBytes, totalBytes, bytesPerSecond, secondsLeft, stage } = download;
    const speed = bytesPerSecond > 0 ? ` at ${formatBytes(bytesPerSecond)}/s` : '';
    return {
      text: `${STAGE_TEXT[stage]}: ${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}${speed}`,
      share: doneBytes / Math.max(1, totalBytes),
      left: secondsLeft ? formatDuration(1000 * secondsLeft) : '',
    };
  }
  switch (activity.kind) {
    case 'waiting':
      return {
        text: capital(activity.reason || `waiting for at least ${minimum} participants`),
        share: null,
        left: '',
      };
    case 'downloading': {
      const share = activity.receivedBytes / Math.max(1, activity.totalBytes);
      return { text: 'Fetching the round’s adapter', share, left: '' };
    }
    case 'training': {
      const text = `Round ${activity.round + 1}: step ${activity.step} of ${activity.steps}`;
      return {
        text,
        share: activity.step / activity.steps,
        left: formatDuration(timeLeftMs(activity.step, activity.steps, elapsed)),
      };
    }
    case 'uploading': {
      const { sentBytes, totalBytes } = activity;
      return {
        text: `Sending the update: ${formatBytes(sentBytes)} of ${formatBytes(totalBytes)}`,
        share: sentBytes / Math.max(1, totalBytes),
        left: formatDuration(timeLeftMs(sentBytes, totalBytes, elapsed)),
      };
    }
    case 'uploaded':
      return { text: 'Update sent; waiting for the others and for the combined adapter', share: null, left: '' };
    case 'finished':
      return { text: 'The run is finished', share: 1, left: '' };
    case 'removed':
      return { text: activity.reason, share: null, left: '' };
    case 'failed':
      return { text: activity.message, share: null, left: '' };
    default:
      return activity satisfies never;
  }
}

/** What the tab is doing now: one bar with time left, and the figures that tick. */
export function ActivityCard() {
  const bar = useBar();
  const activity = useJoinStore((state) => state.activity);
  const tokensPerSecond = useJoinStore((state) => state.tokensPerSecond);
  const examples = useJoinStore((state) => state.data?.examples ?? 0);
  const connected = useJoinStore((state) => state.run?.connected ?? 0);
  const sent = useJoinStore((state) => Object.values(state.sent).reduce((sum, bytes) => sum + bytes, 0));
  const task = useJoinStore((state) => state.run?.config.task ?? 'sft');
  const rewards = useJoinStore((state) => state.rewards);
  const words = TASK_WORDS[task];
  const loss = activity?.kind === 'training' ? activity.lossNats : null;
  return (
    <Section title="Now" testId="activity">
      <Stack gap={6}>
        <Text size="sm" className="figures" aria-live="off" data-testid="activity-text">
          {bar.text}
          {bar.left && bar.left !== '–' ? ` · about ${bar.left} left` : ''}
        </Text>
        <Progress
          value={bar.share === null ? 100 : bar.share * 100}
          animated={bar.share === null}
          color={bar.share === null ? 'gray.5' : 'teal'}
          aria-label={bar.text}
        />
      </Stack>
      <SimpleGrid cols={{ base: 2, sm: task === 'dpo' ? 4 : 5 }}>
        <Figure label={words.lossNats} value={formatFixed(loss, 3)} testId="loss-now" />
        {task === 'dpo' ? (
          <>
            <Figure label="Reward accuracy" value={formatPercent(rewards?.accuracy)} testId="reward-accuracy" />
            <Figure label="Reward margin" value={formatSigned(rewards?.margin)} testId="reward-margin" />
          </>
        ) : null}
        <Figure label="Tokens per second" value={tokensPerSecond > 0 ? formatCount(tokensPerSecond) : '–'} />
        <Figure label={`Your ${words.rows}`} value={formatCount(examples)} />
        <Figure label="Participants here" value={formatCount(connected)} />
        <Figure label="Sent so far" value={formatBytes(sent)} />
      </SimpleGrid>
    </Section>
  );
}
