import fc from 'fast-check';
import { expect, it } from 'vitest';
import { runConfig, runView } from '../protocol/schema.ts';
import { initialRun, reduce } from './reduce.ts';
import { quorumOf } from './sampling.ts';
import type { Effect, RoundEvent, RunState } from './state.ts';
import { runViewOf } from './view.ts';

const ids = ['p0', 'p1', 'p2', 'p3'];
const blob = (n: number) => ({ url: `/api/adapters/${n}`, sha256: n.toString(16).padStart(64, '0'), bytes: 24 });
const who = fc.constantFrom(...ids);
/** Mostly the round at hand, at times another one; null stands for the current. */
const when = fc.constantFrom<number | null>(null, null, null, null, 0, 1, 2);

/** Events with holes (round and attempt) that are filled in from the state they meet. */
type Draw = { event: RoundEvent; round: number | null; attempt: number | null; waitMs: number };
const at = { atMs: 0 };
const draw: fc.Arbitrary<Draw> = fc.record({
  round: when,
  attempt: when,
  waitMs: fc.constantFrom(0, 1, 40, 300, 1000, 40_000),
  event: fc.oneof(
    {
      weight: 2,
      arbitrary: who.map(
        (participantId): RoundEvent => ({ ...at, type: 'joined', participantId, name: participantId }),
      ),
    },
    { weight: 2, arbitrary: who.map((participantId): RoundEvent => ({ ...at, type: 'connected', participantId })) },
    { weight: 2, arbitrary: who.map((participantId): RoundEvent => ({ ...at, type: 'disconnected', participantId })) },
    {
      weight: 1,
      arbitrary: who.map((participantId): RoundEvent => ({ ...at, type: 'removed', participantId, reason: 'x' })),
    },
    {
      weight: 2,
      arbitrary: who.map(
        (participantId): RoundEvent => ({ ...at, type: 'accepted', participantId, round: 0, attempt: 0 }),
      ),
    },
    {
      weight: 1,
      arbitrary: who.map(
        (participantId): RoundEvent => ({ ...at, type: 'declined', participantId, round: 0, attempt: 0, reason: 'x' }),
      ),
    },
    {
      weight: 9,
      arbitrary: fc.tuple(who, fc.integer({ min: 1, max: 3 })).map(
        ([participantId, n]): RoundEvent => ({
          ...at,
          type: 'uploaded',
          round: 0,
          attempt: 0,
          update: { participantId, blob: blob(n), examples: n, lossNats: 1, updateNorm: 1 },
        }),
      ),
    },
    {
      weight: 1,
      arbitrary: who.map(
        (participantId): RoundEvent => ({
          ...at,
          type: 'refused',
          round: 0,
          participantId,
          code: 'not-finite',
          message: 'x',
        }),
      ),
    },
    {
      weight: 4,
      arbitrary: fc
        .constantFrom('deadline' as const, 'grace' as const)
        .map((timer): RoundEvent => ({ ...at, type: 'timer', timer, round: 0, attempt: 0 })),
    },
    {
      weight: 5,
      arbitrary: fc
        .integer({ min: 10, max: 99 })
        .map((n): RoundEvent => ({ ...at, type: 'aggregated', round: 0, adapter: blob(n) })),
    },
    { weight: 1, arbitrary: fc.constant<RoundEvent>({ ...at, type: 'aggregation-failed', round: 0, reason: 'x' }) },
    {
      weight: 5,
      arbitrary: fc.constantFrom(1, 2, Number.NaN).map(
        (lossNats): RoundEvent => ({
          ...at,
          type: 'evaluated',
          round: 0,
          metrics: { lossNats, accuracy: 0.5, rows: 1, labelTokens: 1 },
        }),
      ),
    },
    {
      weight: 2,
      arbitrary: fc.constantFrom<RoundEvent>(
        { ...at, type: 'recovered' },
        { ...at, type: 'paused', reason: 'x' },
        { ...at, type: 'resumed' },
        { ...at, type: 'resumed' },
      ),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom<RoundEvent>(
        { ...at, type: 'opened' },
        { ...at, type: 'starting' },
        { ...at, type: 'started', adapter: blob(7), baseline: null },
      ),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom<RoundEvent>(
        { ...at, type: 'aborted', reason: 'x' },
        { ...at, type: 'failed', reason: 'x' },
      ),
    },
  ),
});
const configs = fc.record({
  min: fc.integer({ min: 1, max: 3 }),
  perRound: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
  graceMs: fc.constantFrom(0, 100),
  evaluationId: fc.option(fc.constant('held-out'), { nil: undefined }),
  autoStart: fc.boolean(),
  algorithm: fc.constantFrom(
    { id: 'fedavg' as const },
    { id: 'local' as const, hyper: { client: 1 } },
    { id: 'local' as const, hyper: { client: 1, rounds: 'drawn' as const } },
  ),
});
const opening: RoundEvent[] = [
  { type: 'opened', atMs: 0 },
  { type: 'joined', participantId: 'p0', name: 'p0', atMs: 0 },
  { type: 'joined', participantId: 'p1', name: 'p1', atMs: 0 },
  { type: 'starting', atMs: 0 },
  { type: 'started', adapter: blob(7), baseline: null, atMs: 0 },
];

const RUN_NEXT: Record<RunState['phase'], readonly string[]> = {
  draft: ['open', 'aborted', 'failed'],
  open: ['running', 'aborted', 'failed'],
  running: ['paused', 'finished', 'aborted', 'failed'],
  paused: ['running', 'finished', 'aborted', 'failed'],
  finished: [],
  aborted: [],
  failed: [],
};
const ROUND_NEXT: Record<string, readonly string[]> = {
  gathering: ['training', 'evaluating'],
  training: ['closing', 'aggregating'],
  closing: ['training', 'aggregating'],
  aggregating: ['evaluating'],
  evaluating: [],
};

function fill({ event, round, attempt }: Draw, state: RunState, atMs: number): RoundEvent {
  const filled: Record<string, unknown> = { ...event, atMs };
  if ('round' in event) filled.round = round ?? state.round;
  if ('attempt' in event) filled.attempt = attempt ?? state.current?.attempt ?? 0;
  return filled as unknown as RoundEvent;
}

function checkState(state: RunState): void {
  const { current, config, history } = state;
  expect(history.map((one) => one.round)).toEqual(history.map((_, i) => i));
  expect(state.round).toBe(history.length);
  if (state.phase === 'finished') expect(state.round).toBe(config.rounds);
  for (const one of history) {
    expect(one.phase).toBe('published');
    expect(new Set(one.received.map((update) => update.participantId)).size).toBe(one.received.length);
    if (!one.kept) expect(one.received.length).toBeGreaterThanOrEqual(quorumOf(config));
    else expect(one.note).not.toBeNull();
  }
  expect(new Set(state.participants.map((one) => one.participantId)).size).toBe(state.participants.length);
  if (current === null) return;
  expect(current.round).toBe(state.round);
  expect(current.attempt).toBeLessThan(2);
  expect(new Set(current.sampled).size).toBe(current.sampled.length);
  const uploaders = current.updates.map((update) => update.participantId);
  expect(new Set(uploaders).size).toBe(uploaders.length);
  for (const id of uploaders) {
    expect(current.sampled).toContain(id);
    expect(current.departed).not.toContain(id);
  }
  const quorate = current.updates.length >= quorumOf(config);
  if (current.phase === 'gathering') expect(uploaders).toEqual([]);
  if (current.phase === 'training') expect(quorate).toBe(false);
  const passes = current.phase === 'evaluating' && current.sampled.length === 0; // nobody was drawn
  if (passes) expect(current.candidate?.adapter).toEqual(state.adapter);
  if (current.phase === 'closing' || current.phase === 'aggregating' || current.phase === 'evaluating')
    expect(quorate).toBe(!passes);
}

/** What must be on its way for the run not to stand still for ever. */
function checkAlive(state: RunState, issued: readonly Effect[]): void {
  const { current } = state;
  if (current === null) return;
  const { round, attempt } = current;
  if (current.phase === 'training' || current.phase === 'closing') {
    expect(issued).toContainEqual({ type: 'timer', timer: 'deadline', round, attempt, atMs: current.deadlineMs });
  }
  if (current.phase === 'closing') {
    expect(issued).toContainEqual({ type: 'timer', timer: 'grace', round, attempt, atMs: current.graceUntilMs });
  }
  if (current.phase === 'aggregating') {
    expect(issued.some((one) => one.type === 'aggregate' && one.round === round && one.attempt === attempt)).toBe(true);
  }
  if (current.phase === 'evaluating')
    expect(issued).toContainEqual({ type: 'evaluate', round, adapter: current.candidate?.adapter });
}

it('R21: random events never break an invariant, and the log replays to the same state', () => {
  const reached = new Set<string>();
  fc.assert(
    fc.property(configs, fc.array(draw, { minLength: 20, maxLength: 90 }), fc.boolean(), (settings, draws, started) => {
      const { min, perRound, ...rest } = settings;
      const config = runConfig.parse({
        ...rest,
        name: 'x',
        modelId: 'm',
        lora: {},
        rounds: 2,
        roundDeadlineMs: 1000,
        participants: { min, perRound },
      });
      const first = initialRun({ runId: 'r', config, atMs: 0 });
      let state = first;
      let nowMs = 0;
      const log: RoundEvent[] = [];
      let issued: Effect[] = [];
      const apply = (event: RoundEvent): void => {
        const before = state;
        const frozen = JSON.stringify(state);
        log.push(event);
        const reduced = reduce(state, event);
        expect(JSON.stringify(before), 'the old state is not mutated').toBe(frozen);
        state = reduced.state;
        // After a restart only what `recovered` issues is left.
        issued = event.type === 'recovered' ? [...reduced.effects] : [...issued, ...reduced.effects];
        if (before.phase !== state.phase) expect(RUN_NEXT[before.phase]).toContain(state.phase);
        expect(state.round).toBeGreaterThanOrEqual(before.round);
        const [a, b] = [before.current, state.current];
        if (a !== null && b !== null && a.round === b.round && a.attempt === b.attempt && a.phase !== b.phase) {
          expect(ROUND_NEXT[a.phase], `${a.phase} → ${b.phase}`).toContain(b.phase);
        }
        for (const effect of reduced.effects) {
          if (effect.type !== 'offer') continue;
          const target = state.participants.find((one) => one.participantId === effect.participantId);
          expect(target).toMatchObject({ connected: true, removed: false });
          expect(state.current?.updates.some((update) => update.participantId === effect.participantId)).toBe(false);
        }
        checkState(state);
        checkAlive(state, issued);
        reached.add(state.phase).add(state.current?.phase ?? 'none');
        if (state.history.some((one) => one.kept)) reached.add('kept');
        if (state.current?.attempt === 1) reached.add('attempt 1');
        if (state.history.some((one) => one.sampled.length === 0)) reached.add('passed');
      };
      if (started) opening.forEach(apply);
      for (const one of draws) {
        nowMs += one.waitMs;
        apply(fill(one, state, nowMs));
      }
      expect(runView.safeParse(runViewOf(state)).error).toBeUndefined();
      expect(JSON.parse(JSON.stringify(state))).toEqual(JSON.parse(JSON.stringify(structuredClone(state))));
      const replayed = log.reduce((folded, event) => reduce(JSON.parse(JSON.stringify(folded)), event).state, first);
      expect(JSON.stringify(replayed)).toBe(JSON.stringify(state));
    }),
    { numRuns: 300, seed: 7 },
  );
  // The sequences above are worth something only if they get everywhere.
  for (const place of [
    'running',
    'paused',
    'finished',
    'aborted',
    'gathering',
    'training',
    'closing',
    'aggregating',
    'evaluating',
    'kept',
    'attempt 1',
    'passed',
  ]) {
    expect(reached).toContain(place);
  }
});
