import type { RoundSummary, RunView } from '@cotune/fl-core/protocol';

/** Rounds that are over; the last one of `run.rounds` may still be in progress. */
export function publishedRounds(run: RunView): readonly RoundSummary[] {
  return run.rounds.filter(({ phase }) => phase === 'published');
}
