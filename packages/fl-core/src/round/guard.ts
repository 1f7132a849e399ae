import { FlError, type FlErrorCode } from '../error.ts';
import { isOver, type UploadVerdict } from '../protocol/schema.ts';
import type { RoundEvent, RoundState, RunState } from './state.ts';

/** Which update is meant: the upload key and the hash of its bytes. */
export interface UploadKey {
  readonly participantId: string;
  readonly round: number;
  readonly attempt: number;
  readonly sha256: string;
}

const collecting = (current: RoundState | null): current is RoundState =>
  current !== null && (current.phase === 'training' || current.phase === 'closing');

/**
 * The answer to an update before any byte of it is read, and again when it is complete: `new` when it would be counted,
 * otherwise the verdict to send. The same update sent again is `accepted` again, even after its round has closed.
 */
export function judgeUpload(state: RunState, key: UploadKey): { readonly status: 'new' } | UploadVerdict {
  const { current } = state;
  const reject = (code: FlErrorCode, message: string): UploadVerdict => ({
    status: 'rejected',
    code,
    message,
    round: state.round,
  });
  const participant = state.participants.find((one) => one.participantId === key.participantId);
  if (participant === undefined) return reject('not-found', `participant ${key.participantId} has not joined this run`);
  if (participant.removed) return reject('forbidden', 'you were removed from this run');

  const counted = receivedIn(state, key);
  if (counted !== undefined) {
    if (counted === key.sha256) return { status: 'accepted' };
    return reject(
      'duplicate',
      `round ${key.round} already has another update of yours (sha256 ${counted.slice(0, 12)}…)`,
    );
  }
  if (key.round < state.round) {
    const summary = state.history[key.round];
    if (summary?.sampled.includes(key.participantId) && summary.attempt === key.attempt)
      return { status: 'late', round: state.round };
    return reject(
      'stale',
      `got an update for round ${key.round} attempt ${key.attempt}, the run is at round ${state.round}`,
    );
  }
  if (isOver(state)) return reject('wrong-state', `the run is ${state.phase}`);
  if (key.round > state.round || state.adapter === null) {
    return reject('invalid', `got an update for round ${key.round}, expected round ${state.round}`);
  }
  if (current === null || key.attempt !== current.attempt) {
    return reject(
      'stale',
      `got an update for attempt ${key.attempt} of round ${key.round}, expected attempt ${current?.attempt ?? 0}`,
    );
  }
  if (!current.sampled.includes(key.participantId))
    return reject('forbidden', `you are not sampled for round ${key.round}`);
  if (!collecting(current)) return { status: 'late', round: state.round };
  if (current.departed.includes(key.participantId)) return reject('wrong-state', `you declined round ${key.round}`);
  return { status: 'new' };
}

function receivedIn(state: RunState, key: UploadKey): string | undefined {
  const { current } = state;
  if (current !== null && key.round === current.round && key.attempt === current.attempt) {
    return current.updates.find((update) => update.participantId === key.participantId)?.blob.sha256;
  }
  const summary = state.history[key.round];
  if (summary === undefined || summary.attempt !== key.attempt) return undefined;
  return summary.received.find((update) => update.participantId === key.participantId)?.sha256;
}

/** Null when `reduce` will take the event, otherwise why it leaves the state alone. */
export function canApply(state: RunState, event: RoundEvent): FlError | null {
  const no = (code: FlErrorCode, message: string): FlError => new FlError(code, message);
  const wrong = (expected: string): FlError =>
    no('wrong-state', `${event.type}: the run is ${state.phase}, expected ${expected}`);
  const roundIs = (phase: RoundState['phase'], round: number): FlError | null =>
    state.current?.phase === phase && state.current.round === round
      ? null
      : no(
          'stale',
          `${event.type}: got round ${round}, the run is at round ${state.round} (${state.current?.phase ?? 'none'})`,
        );
  const known = (participantId: string): FlError | null => {
    const participant = state.participants.find((one) => one.participantId === participantId);
    if (participant === undefined) return no('not-found', `${event.type}: no participant ${participantId} in this run`);
    return participant.removed ? no('forbidden', `${event.type}: participant ${participantId} was removed`) : null;
  };
  const asked = (participantId: string, round: number, attempt: number): FlError | null => {
    const unknown = known(participantId);
    if (unknown !== null) return unknown;
    if (isOver(state)) return wrong('running');
    const { current } = state;
    if (!collecting(current) || current.round !== round || current.attempt !== attempt) {
      return no(
        'stale',
        `${event.type}: round ${round} attempt ${attempt} is not open; the run is at round ${state.round}`,
      );
    }
    return current.sampled.includes(participantId)
      ? null
      : no('forbidden', `${participantId} is not sampled for round ${round}`);
  };

  switch (event.type) {
    case 'opened':
      return state.phase === 'draft' ? null : wrong('draft');
    case 'joined':
      if (isOver(state) || state.phase === 'draft') return wrong('open, running or paused');
      if (state.participants.some((one) => one.participantId === event.participantId)) {
        return no('duplicate', `participant ${event.participantId} has joined already`);
      }
      return state.participants.filter((one) => !one.removed).length >= state.config.participants.max
        ? no('forbidden', `the run is full: ${state.config.participants.max} participants at most`)
        : null;
    case 'connected':
    case 'disconnected':
    case 'removed':
      return known(event.participantId);
    case 'starting':
      return state.phase === 'open' ? null : wrong('open');
    case 'started':
      return state.adapter === null && (state.phase === 'open' || state.phase === 'running' || state.phase === 'paused')
        ? null
        : wrong('open, or running without an adapter');
    case 'accepted':
    case 'declined':
      return asked(event.participantId, event.round, event.attempt);
    case 'uploaded': {
      const { participantId, blob } = event.update;
      const verdict = judgeUpload(state, {
        participantId,
        round: event.round,
        attempt: event.attempt,
        sha256: blob.sha256,
      });
      if (verdict.status === 'rejected') return no(verdict.code, verdict.message);
      return verdict.status === 'late' ? no('late', `round ${event.round} has closed`) : null;
    }
    case 'refused':
      return state.current?.round === event.round
        ? null
        : no('stale', `refused: round ${event.round} is not in progress`);
    case 'timer':
      return collecting(state.current) && state.current.round === event.round && state.current.attempt === event.attempt
        ? null
        : no('stale', `timer: round ${event.round} attempt ${event.attempt} is not open`);
    case 'aggregated':
    case 'aggregation-failed':
      return roundIs('aggregating', event.round);
    case 'evaluated':
      return roundIs('evaluating', event.round);
    case 'paused':
      return state.phase === 'running' ? null : wrong('running');
    case 'resumed':
      return state.phase === 'paused' ? null : wrong('paused');
    case 'aborted':
    case 'failed':
      return isOver(state) ? wrong('not over') : null;
    case 'recovered':
      return null;
    default:
      return event satisfies never;
  }
}
