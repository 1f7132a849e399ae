import type { ParticipantActivity } from '@cotune/fl-core';
import type { RunView } from '@cotune/fl-core/protocol';
import { useJoinStore } from '../stores/join-store.ts';
import { lossHistory } from '../stores/loss-history.ts';
import type { DownloadProgress, StepRecord } from '../trainer/messages.ts';

/** Least time between two store updates of a figure that ticks. */
const TICK_MS = 250;

/** Writes what the Worker and the socket report into the store, at a pace that a person can read. */
export function createTracker(now: () => number = () => Date.now()) {
  const set = useJoinStore.setState;
  const get = useJoinStore.getState;
  let uploadBytes = 0;
  const everyTick = () => {
    let lastMs = 0;
    return () => {
      if (now() - lastMs < TICK_MS) return false;
      lastMs = now();
      return true;
    };
  };
  const due = everyTick();
  const speedDue = everyTick();
  return {
    download(progress: DownloadProgress) {
      const changedStage = get().download?.stage !== progress.stage;
      if (changedStage || due()) set({ download: progress });
    },
    activity(activity: ParticipantActivity) {
      const before = get().activity;
      const sameKind = before?.kind === activity.kind;
      if (activity.kind === 'uploading') uploadBytes = activity.totalBytes;
      if (activity.kind === 'uploaded' && activity.verdict.status === 'accepted') {
        set({ sent: { ...get().sent, [activity.round]: uploadBytes } });
      }
      if (activity.kind === 'uploaded' && activity.verdict.status !== 'accepted') {
        const why =
          activity.verdict.status === 'late' ? 'it came after the round had closed' : activity.verdict.message;
        set({ notice: `The update of round ${activity.round + 1} was not counted: ${why}` });
      }
      const ticking =
        sameKind && (activity.kind === 'training' || activity.kind === 'uploading' || activity.kind === 'downloading');
      if (ticking && !due()) return;
      set({ activity, ...(sameKind ? {} : { activitySinceMs: now() }) });
    },
    step({ round, step, lossNats, tokensPerSecond, rewards }: StepRecord) {
      const steps = get().run?.config.steps ?? 0;
      lossHistory.push({ index: round * steps + step - 1, round, lossNats, rewards: rewards ?? null });
      if (speedDue()) set({ tokensPerSecond, rewards: rewards ?? null });
    },
    run(run: RunView) {
      set({ run, rounds: run.rounds });
    },
  };
}

export type Tracker = ReturnType<typeof createTracker>;
