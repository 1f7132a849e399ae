import type { RoundSummary, RunView } from '../protocol/schema.ts';
import type { RoundState, RunState } from './state.ts';

/** A round as everyone may see it; `over` states what publishing it adds. */
export function summaryOf(
  current: RoundState,
  over: Partial<Pick<RoundSummary, 'phase' | 'kept' | 'note' | 'adapterSha256' | 'evaluation' | 'publishedAtMs'>> = {},
): RoundSummary {
  return {
    round: current.round,
    attempt: current.attempt,
    phase: current.phase,
    sampled: [...current.sampled],
    received: current.updates.map((update) => ({
      participantId: update.participantId,
      sha256: update.blob.sha256,
      examples: update.examples,
      lossNats: update.lossNats,
      updateNorm: update.updateNorm,
      bytes: update.blob.bytes,
      ...(update.rewards ? { rewards: update.rewards } : {}),
    })),
    refused: [...current.refused],
    kept: false,
    note: current.note,
    adapterSha256: current.candidate?.adapter.sha256 ?? null,
    evaluation: null,
    startedAtMs: current.startedAtMs,
    publishedAtMs: null,
    deadlineMs: current.deadlineMs,
    ...over,
  };
}

/** What everyone in a run may know about it; the round in progress is the last of `rounds`. */
export function runViewOf(state: RunState): RunView {
  const { current } = state;
  const members = state.participants.filter((participant) => !participant.removed);
  return {
    runId: state.runId,
    config: state.config,
    phase: state.phase,
    reason: state.reason,
    round: state.round,
    attempt: current?.attempt ?? 0,
    roundPhase: current?.phase ?? null,
    participants: members.length,
    connected: members.filter((participant) => participant.connected).length,
    adapter: state.adapter,
    baseline: state.baseline,
    rounds: current === null ? [...state.history] : [...state.history, summaryOf(current)],
    createdAtMs: state.createdAtMs,
  };
}
