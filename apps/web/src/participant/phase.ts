import type { ParticipantActivity } from '@cotune/fl-core';
import type { RunView } from '@cotune/fl-core/protocol';

/** The steps of the phase strip, in order. */
export const PHASES = ['download', 'waiting', 'training', 'uploading', 'aggregating', 'round'] as const;
export type Phase = (typeof PHASES)[number];

/** Where an active participant is. After an upload it waits for the others, then for the coordinator to combine. */
export function currentPhase(activity: ParticipantActivity | null, run: RunView | null): Phase {
  if (run?.phase === 'finished' || activity?.kind === 'finished') return 'round';
  switch (activity?.kind) {
    case undefined:
      return 'download';
    case 'training':
      return 'training';
    case 'uploading':
      return 'uploading';
    case 'downloading':
      return 'training';
    case 'uploaded':
      return 'aggregating';
    case 'waiting':
      return run?.roundPhase === 'aggregating' || run?.roundPhase === 'evaluating' || run?.roundPhase === 'closing'
        ? 'aggregating'
        : 'waiting';
    case 'removed':
    case 'failed':
      return 'waiting';
    default:
      return activity satisfies never;
  }
}

/** Milliseconds left of a job, from the mean pace of its finished part; NaN while unknown. */
export function timeLeftMs(done: number, total: number, elapsedMs: number): number {
  if (done <= 0 || elapsedMs <= 0) return Number.NaN;
  return ((total - done) * elapsedMs) / done;
}
