import type { RunConfig } from '../protocol/schema.ts';
import { canApply } from './guard.ts';
import { beginRound, evaluationDue, fillRound, keepModel, maybeClose, publish, retryRound } from './progress.ts';
import { quorumOf } from './sampling.ts';
import type { Effect, ParticipantState, Reduced, RoundEvent, RoundState, RunState } from './state.ts';

/** A run that nobody has joined yet. */
export function initialRun({ runId, config, atMs }: { runId: string; config: RunConfig; atMs: number }): RunState {
  return {
    runId,
    config,
    phase: 'draft',
    reason: null,
    createdAtMs: atMs,
    participants: [],
    round: 0,
    current: null,
    adapter: null,
    firstAdapter: null,
    algorithmState: null,
    baseline: null,
    history: [],
  };
}

/**
 * The run after an event, and what the shell must do; rules in SPEC.md. Pure: time comes from the event, chance from the
 * run's seed. An event that `canApply` forbids changes nothing.
 */
export function reduce(state: RunState, event: RoundEvent): Reduced {
  if (canApply(state, event) !== null) return { state, effects: [] };
  const { atMs } = event;
  const current = state.current as RoundState; // non-null wherever canApply demands a round
  switch (event.type) {
    case 'opened':
      return seen({ ...state, phase: 'open' });
    case 'joined': {
      const newcomer = {
        participantId: event.participantId,
        name: event.name,
        connected: true,
        disconnectedAtMs: null,
        removed: false,
      };
      return arrived({ ...state, participants: [...state.participants, newcomer] }, event.participantId, atMs);
    }
    case 'connected':
      return arrived(
        withParticipant(state, event.participantId, { connected: true, disconnectedAtMs: null }),
        event.participantId,
        atMs,
      );
    case 'disconnected':
      return seen(withParticipant(state, event.participantId, { connected: false, disconnectedAtMs: atMs }));
    case 'removed':
      return removed(state, event.participantId, event.reason, atMs);
    case 'starting':
      return { state: { ...state, phase: 'running' }, effects: [{ type: 'start' }, { type: 'broadcast' }] };
    case 'started': {
      const phase = state.phase === 'open' ? 'running' : state.phase;
      const { adapter, baseline } = event;
      return beginRound({ ...state, phase, adapter, firstAdapter: adapter, baseline }, atMs);
    }
    case 'accepted':
      if (current.accepted.includes(event.participantId)) return { state, effects: [] };
      return seen({ ...state, current: { ...current, accepted: [...current.accepted, event.participantId] } });
    case 'declined':
      if (current.departed.includes(event.participantId)) return { state, effects: [] };
      if (current.updates.some((update) => update.participantId === event.participantId)) return { state, effects: [] };
      return afterDeparture(
        { ...state, current: { ...current, departed: [...current.departed, event.participantId] } },
        atMs,
      );
    case 'uploaded':
      if (current === null || current.updates.some((update) => update.participantId === event.update.participantId)) {
        return { state, effects: [] };
      }
      if (current.round !== event.round) return { state, effects: [] }; // a repeat for a round that has closed
      return maybeClose({ ...state, current: { ...current, updates: [...current.updates, event.update] } }, atMs);
    case 'refused': {
      const { participantId, code, message } = event;
      return seen({
        ...state,
        current: { ...current, refused: [...current.refused, { participantId, code, message }].slice(-1000) },
      });
    }
    case 'timer':
      return timer(state, current, event.timer, atMs);
    case 'aggregated': {
      const { config } = state;
      const candidate = { adapter: event.adapter, algorithmState: event.algorithmState ?? null };
      const next: RunState = { ...state, current: { ...current, candidate, phase: 'evaluating' } };
      if (!evaluationDue(config, current.round)) return publish(next, null, atMs);
      return {
        state: next,
        effects: [{ type: 'evaluate', round: current.round, adapter: event.adapter }, { type: 'broadcast' }],
      };
    }
    case 'aggregation-failed':
      return retryRound(state, event.reason, atMs);
    case 'evaluated':
      if (event.metrics !== null && !Number.isFinite(event.metrics.lossNats)) {
        return retryRound(state, 'the held-out loss of the aggregate is not finite', atMs);
      }
      return publish(state, event.metrics, atMs);
    case 'paused':
      return seen({ ...state, phase: 'paused', reason: event.reason });
    case 'resumed': {
      const running: RunState = { ...state, phase: 'running', reason: null };
      const idle = running.adapter !== null && (running.current === null || running.current.phase === 'gathering');
      return idle ? beginRound(running, atMs) : seen(running);
    }
    case 'aborted':
    case 'failed':
      return seen({ ...state, phase: event.type, reason: event.reason, current: null });
    case 'recovered':
      return recovered(state, atMs);
    default:
      return event satisfies never;
  }
}

const seen = (state: RunState): Reduced => ({ state, effects: [{ type: 'broadcast' }] });

function withParticipant(state: RunState, participantId: string, change: Partial<ParticipantState>): RunState {
  return {
    ...state,
    participants: state.participants.map((one) => (one.participantId === participantId ? { ...one, ...change } : one)),
  };
}

/** Somebody joined or came back: start the run, begin the round that waits for people, or offer again what is outstanding. */
function arrived(state: RunState, participantId: string, atMs: number): Reduced {
  const { config, current } = state;
  const connected = state.participants.filter((one) => one.connected && !one.removed).length;
  if (state.phase === 'open' && config.autoStart && connected >= Math.max(config.participants.min, quorumOf(config))) {
    return { state: { ...state, phase: 'running' }, effects: [{ type: 'start' }, { type: 'broadcast' }] };
  }
  if (current === null) return seen(state);
  if (current.phase === 'gathering') return state.phase === 'running' ? beginRound(state, atMs) : seen(state);
  if (current.phase !== 'training' && current.phase !== 'closing') return seen(state);
  const owes =
    current.sampled.includes(participantId) &&
    !current.departed.includes(participantId) &&
    !current.updates.some((update) => update.participantId === participantId);
  if (!owes) return fillRound(state, atMs);
  const { round, attempt, deadlineMs } = current;
  return {
    state,
    effects: [{ type: 'offer', participantId, round, attempt, deadlineMs: deadlineMs ?? atMs }, { type: 'broadcast' }],
  };
}

function removed(state: RunState, participantId: string, reason: string, atMs: number): Reduced {
  const gone = withParticipant(state, participantId, { connected: false, disconnectedAtMs: atMs, removed: true });
  const disconnect: Effect = { type: 'disconnect', participantId, reason };
  const { current } = gone;
  if (current === null || !current.sampled.includes(participantId))
    return { state: gone, effects: [disconnect, { type: 'broadcast' }] };
  if (current.phase !== 'training' && current.phase !== 'closing')
    return { state: gone, effects: [disconnect, { type: 'broadcast' }] };
  const departed = current.departed.includes(participantId) ? current.departed : [...current.departed, participantId];
  const updates = current.updates.filter((update) => update.participantId !== participantId);
  const next = afterDeparture({ ...gone, current: { ...current, departed, updates } }, atMs);
  return { state: next.state, effects: [disconnect, ...next.effects] };
}

/** Somebody left the round: the rest may now be complete, or too few for the quorum. */
function afterDeparture(state: RunState, atMs: number): Reduced {
  const closed = maybeClose(state, atMs);
  if (closed.state.current?.phase === 'aggregating') return closed;
  const filled = fillRound(closed.state, atMs);
  return { state: filled.state, effects: [...closed.effects, ...filled.effects] };
}

function timer(state: RunState, current: RoundState, which: 'deadline' | 'grace', atMs: number): Reduced {
  const dueMs = which === 'deadline' ? current.deadlineMs : current.graceUntilMs;
  if (dueMs === null) return { state, effects: [] };
  if (atMs < dueMs) {
    // Fired early, or set before an extension: wait for the rest.
    return {
      state,
      effects: [{ type: 'timer', round: current.round, attempt: current.attempt, timer: which, atMs: dueMs }],
    };
  }
  if (current.updates.length >= quorumOf(state.config)) return maybeClose(state, atMs);
  return current.extended ? keepModel(state, atMs) : fillRound(state, atMs, true);
}

function recovered(state: RunState, atMs: number): Reduced {
  const participants = state.participants.map((one) =>
    one.connected ? { ...one, connected: false, disconnectedAtMs: atMs } : one,
  );
  const next: RunState = { ...state, participants };
  const { current } = next;
  const effects: Effect[] = [];
  if ((next.phase === 'running' || next.phase === 'paused') && next.adapter === null) effects.push({ type: 'start' });
  if (current?.phase === 'training' || current?.phase === 'closing') {
    const { round, attempt, deadlineMs, graceUntilMs } = current;
    if (deadlineMs !== null) effects.push({ type: 'timer', round, attempt, timer: 'deadline', atMs: deadlineMs });
    if (graceUntilMs !== null) effects.push({ type: 'timer', round, attempt, timer: 'grace', atMs: graceUntilMs });
  }
  if (current?.phase === 'aggregating' && next.adapter !== null) {
    const { round, attempt, updates, clients } = current;
    effects.push({
      type: 'aggregate',
      round,
      attempt,
      updates,
      clients,
      adapter: next.adapter,
      algorithmState: next.algorithmState,
    });
  }
  if (current?.phase === 'evaluating' && current.candidate !== null) {
    effects.push({ type: 'evaluate', round: current.round, adapter: current.candidate.adapter });
  }
  return { state: next, effects: [...effects, { type: 'broadcast' }] };
}
