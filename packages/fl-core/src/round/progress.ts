import type { HeldOutMetrics, RunConfig } from '../protocol/schema.ts';
import { drawn, present, quorumOf, type SampleSeed, sample } from './sampling.ts';
import type { Effect, Reduced, RoundState, RunState } from './state.ts';
import { summaryOf } from './view.ts';

/** Attempts at a round whose aggregate cannot be used before the model is kept. */
const ATTEMPTS = 2;

/**
 * Begins the run's next round, or finishes the run, or waits while it is paused. Also restarts a round that was gathering. Rounds
 * for which nobody is drawn pass at once, but for one whose model is due to be measured and was not yet.
 */
export function beginRound(state: RunState, atMs: number, attempt = 0, note: string | null = null): Reduced {
  const effects: Effect[] = [];
  let begun = openRound(state, atMs, attempt, note);
  for (;;) {
    const { current } = begun.state;
    const evaluation = current !== null && passesBy(current) ? figuresOfPassing(begun.state) : undefined;
    if (current === null || evaluation === undefined) break;
    const closed = closeRound(begun.state, current, { kept: true, note: current.note, evaluation }, atMs);
    effects.push(...closed.effects);
    begun = openRound(closed.state, atMs);
  }
  return { state: begun.state, effects: [...effects, ...begun.effects] };
}

/** A round for which nobody is drawn: its candidate is the model that it began with. */
const passesBy = ({ phase, sampled }: RoundState): boolean => phase === 'evaluating' && sampled.length === 0;

/** Held-out figures of a round that passes: those of its model where they are due and known, null where not due, undefined where to be measured. */
function figuresOfPassing({ config, round, history, baseline }: RunState): HeldOutMetrics | null | undefined {
  if (!evaluationDue(config, round)) return null;
  const last = history.findLast(({ kept, evaluation }) => !kept || evaluation !== null);
  return (last ? last.evaluation : baseline) ?? undefined;
}

/** Whether the model is measured after a round (0-based). */
export const evaluationDue = (config: RunConfig, round: number): boolean =>
  config.evaluationId !== undefined && ((round + 1) % config.evaluateEveryRounds === 0 || round + 1 === config.rounds);

function openRound(state: RunState, atMs: number, attempt = 0, note: string | null = null): Reduced {
  const { config, round } = state;
  if (round >= config.rounds) {
    return { state: { ...state, phase: 'finished', reason: null, current: null }, effects: [{ type: 'broadcast' }] };
  }
  if (state.phase !== 'running') return { state: { ...state, current: null }, effects: [{ type: 'broadcast' }] };
  const candidates = present(state, atMs);
  const held = state.current?.phase === 'gathering' ? state.current : null;
  const current: RoundState = {
    round,
    attempt: held?.attempt ?? attempt,
    phase: 'gathering',
    clients: membersOf(state),
    sampled: [],
    accepted: [],
    departed: [],
    updates: [],
    refused: held?.refused ?? [],
    startedAtMs: atMs,
    deadlineMs: null,
    extended: false,
    graceUntilMs: null,
    candidate: null,
    note: held?.note ?? note,
  };
  if (candidates.length < quorumOf(config)) return { state: { ...state, current }, effects: [{ type: 'broadcast' }] };
  const chosen = drawn(state, candidates, seedOf(state, current), atMs);
  if (chosen.length === 0) return passRound(state, current);
  const deadlineMs = atMs + config.roundDeadlineMs;
  const sampled = chosen.map((one) => one.participantId);
  const next: RunState = { ...state, current: { ...current, phase: 'training', sampled, deadlineMs } };
  return { state: next, effects: [...offers(next, sampled), deadlineTimer(next), { type: 'broadcast' }] };
}

/** Nobody trains: the model stays, and is measured unless `beginRound` finds that it need not be. */
function passRound(state: RunState, current: RoundState): Reduced {
  const { adapter, algorithmState } = state;
  if (adapter === null) return { state, effects: [] };
  const note = 'The model was kept: the one participant that trains is not drawn for this round.';
  const passing: RoundState = { ...current, phase: 'evaluating', candidate: { adapter, algorithmState }, note };
  return {
    state: { ...state, current: passing },
    effects: [{ type: 'evaluate', round: current.round, adapter }, { type: 'broadcast' }],
  };
}

const membersOf = (state: RunState): number => state.participants.filter((one) => !one.removed).length;

const seedOf = ({ config }: RunState, { round, attempt }: RoundState): SampleSeed => ({
  seeding: config.seeding,
  runSeed: config.seed,
  round,
  attempt,
});

const offers = (state: RunState, to: readonly string[]): Effect[] => {
  const { round, attempt, deadlineMs } = state.current as RoundState;
  return state.participants
    .filter((one) => one.connected && to.includes(one.participantId))
    .map(({ participantId }) => ({ type: 'offer', participantId, round, attempt, deadlineMs: deadlineMs as number }));
};

const deadlineTimer = (state: RunState): Effect => {
  const { round, attempt, deadlineMs } = state.current as RoundState;
  return { type: 'timer', round, attempt, timer: 'deadline', atMs: deadlineMs as number };
};

/**
 * Calls in people who were not sampled while those who were cannot make the quorum any more. With `extend`, called at
 * the deadline under quorum, everyone missing gets a second deadline, and those who do not answer are made up for.
 */
export function fillRound(state: RunState, atMs: number, extend = false): Reduced {
  const current = state.current as RoundState;
  const quorum = quorumOf(state.config);
  const counted = new Set(current.updates.map((update) => update.participantId));
  const gone = new Set(current.departed);
  const online = new Set(state.participants.filter((one) => one.connected).map((one) => one.participantId));
  const hopeful = current.sampled.filter((id) => counted.has(id) || (!gone.has(id) && (!extend || online.has(id))));
  const spare = present(state, atMs).filter((one) => !current.sampled.includes(one.participantId));
  const missing = Math.max(0, quorum - hopeful.length);
  const added = sample(spare, missing, seedOf(state, current)).map((one) => one.participantId);
  const sampled = [...current.sampled, ...added];
  // Those who are called in may have joined after the round began: they count among its clients.
  const clients = added.length > 0 ? Math.max(current.clients, membersOf(state)) : current.clients;
  if (!extend) {
    const next: RunState = { ...state, current: { ...current, clients, sampled } };
    return { state: next, effects: [...offers(next, added), { type: 'broadcast' }] };
  }
  const note = `${counted.size} of ${quorum} updates came by the deadline; it was extended once`;
  const deadlineMs = atMs + state.config.roundDeadlineMs;
  const next: RunState = { ...state, current: { ...current, clients, sampled, deadlineMs, extended: true, note } };
  const owing = sampled.filter((id) => !counted.has(id) && !gone.has(id));
  return { state: next, effects: [...offers(next, owing), deadlineTimer(next), { type: 'broadcast' }] };
}

/** Closes the round when everyone answered or its time is over; begins the grace when the quorum is reached. */
export function maybeClose(state: RunState, atMs: number): Reduced {
  const current = state.current as RoundState;
  const { round, attempt, updates, clients } = current;
  if (updates.length < quorumOf(state.config)) {
    // A removal may have taken an update away.
    const next: RoundState = { ...current, phase: 'training', graceUntilMs: null };
    return { state: { ...state, current: next }, effects: [{ type: 'broadcast' }] };
  }
  const deadlineMs = current.deadlineMs as number;
  const graceUntilMs = current.graceUntilMs ?? Math.min(atMs + state.config.graceMs, deadlineMs);
  const answered = new Set([...current.departed, ...updates.map((update) => update.participantId)]);
  const complete = current.sampled.every((id) => answered.has(id));
  if (complete || atMs >= graceUntilMs || atMs >= deadlineMs) {
    const next: RunState = { ...state, current: { ...current, graceUntilMs, phase: 'aggregating' } };
    if (state.adapter === null) return { state: next, effects: [] };
    return {
      state: next,
      effects: [
        {
          type: 'aggregate',
          round,
          attempt,
          updates,
          clients,
          adapter: state.adapter,
          algorithmState: state.algorithmState,
        },
        { type: 'broadcast' },
      ],
    };
  }
  const grace: Effect[] =
    current.graceUntilMs === null ? [{ type: 'timer', round, attempt, timer: 'grace', atMs: graceUntilMs }] : [];
  return {
    state: { ...state, current: { ...current, phase: 'closing', graceUntilMs } },
    effects: [...grace, { type: 'broadcast' }],
  };
}

/** Makes the candidate the run's adapter and goes on. */
export function publish(state: RunState, evaluation: HeldOutMetrics | null, atMs: number): Reduced {
  const { current } = state;
  if (current === null || current.candidate === null) return { state, effects: [] };
  const { adapter, algorithmState } = current.candidate;
  return conclude(
    { ...state, adapter, algorithmState },
    current,
    { kept: current.sampled.length === 0, note: current.note, evaluation },
    atMs,
  );
}

/** Ends the round without a change, and says so. */
export function keepModel(state: RunState, atMs: number, reason?: string): Reduced {
  const current = state.current as RoundState;
  const few = `${current.updates.length} of ${quorumOf(state.config)} updates came in time`;
  return conclude(
    state,
    current,
    { kept: true, note: `The model was kept: ${reason ?? few}.`, evaluation: null },
    atMs,
  );
}

/**
 * The aggregate cannot be used: everyone trains once more from the same model, with other seeds; then the model is kept.
 * It is kept at once where no seed enters, since the same training would end as it did, and where nobody trained.
 */
export function retryRound(state: RunState, reason: string, atMs: number): Reduced {
  const current = state.current as RoundState;
  const attempt = current.attempt + 1;
  const { seeding, lora } = state.config;
  const repeats = passesBy(current) || (seeding === 'round-only' && lora.dropout === 0);
  if (attempt >= ATTEMPTS || repeats || state.phase !== 'running') return keepModel(state, atMs, reason);
  return beginRound({ ...state, current: null }, atMs, attempt, `Attempt ${attempt} was not used: ${reason}.`);
}

interface Outcome {
  readonly kept: boolean;
  readonly note: string | null;
  readonly evaluation: HeldOutMetrics | null;
}

function conclude(state: RunState, current: RoundState, outcome: Outcome, atMs: number): Reduced {
  const closed = closeRound(state, current, outcome, atMs);
  const next = beginRound(closed.state, atMs);
  return { state: next.state, effects: [...closed.effects, ...next.effects] };
}

/** Publishes the round; the next one is not begun. */
function closeRound(state: RunState, current: RoundState, outcome: Outcome, atMs: number): Reduced {
  const { adapter, history } = state;
  if (adapter === null) return { state, effects: [] };
  const summary = summaryOf(current, {
    phase: 'published',
    adapterSha256: adapter.sha256,
    publishedAtMs: atMs,
    ...outcome,
  });
  return {
    state: { ...state, current: null, round: current.round + 1, history: [...history, summary] },
    effects: [{ type: 'publish', round: current.round, summary, adapter }],
  };
}
