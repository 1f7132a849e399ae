import { describe, expect, it } from 'vitest';
import { type RunConfigInput, runConfig, runView } from '../protocol/schema.ts';
import { canApply, judgeUpload } from './guard.ts';
import { cosineLearningRate, countedUpdate, planFor, referenceAdapter, roundSeed, sharedState } from './plan.ts';
import { initialRun, reduce } from './reduce.ts';
import { RECONNECT_MS } from './sampling.ts';
import type { Effect, RoundEvent, RunState } from './state.ts';
import { runViewOf } from './view.ts';

const sha = (text: string): string => text.padEnd(64, '0').replace(/[^0-9a-f]/g, 'e');
const ref = (text: string) => ({ url: `/api/adapters/${sha(text)}`, sha256: sha(text), bytes: 120 });
const metrics = { lossNats: 1.25, accuracy: 0.5, rows: 10, labelTokens: 10 };
type Change = Partial<Omit<RunConfigInput, 'participants'>> & { participants?: RunConfigInput['participants'] };
// Omit distributes badly over a union of events, hence this.
type Untimed = RoundEvent extends infer Event ? (Event extends RoundEvent ? Omit<Event, 'atMs'> : never) : never;

interface Driver {
  state: RunState;
  nowMs: number;
  readonly log: RoundEvent[];
  do(event: Untimed): readonly Effect[];
  /** Checks that nothing changes, and returns the code. */
  refusal(event: Untimed): string | undefined;
  join(...ids: string[]): readonly Effect[];
  upload(id: string, hash?: string, round?: number, attempt?: number): readonly Effect[];
  /** Opened, joined, started. */
  begin(...ids: string[]): readonly Effect[];
  timer(timer: 'deadline' | 'grace'): readonly Effect[];
}

/** A run with a fake clock; `do` logs and applies an event and returns its effects. */
function drive(change: Change = {}): Driver {
  const config = runConfig.parse({
    name: 'News',
    modelId: 'demo',
    algorithm: { id: 'fedavg' },
    lora: {},
    rounds: 2,
    roundDeadlineMs: 1000,
    graceMs: 100,
    ...change,
    participants: { min: 2, ...change.participants },
  });
  const drove: Driver = {
    state: initialRun({ runId: 'run', config, atMs: 0 }),
    nowMs: 0,
    log: [],
    do(event) {
      const timed = { ...event, atMs: drove.nowMs } as RoundEvent;
      drove.log.push(timed);
      const reduced = reduce(drove.state, timed);
      drove.state = reduced.state;
      return reduced.effects;
    },
    refusal(event) {
      const timed = { ...event, atMs: drove.nowMs } as RoundEvent;
      const before = structuredClone(drove.state);
      const { state, effects } = reduce(drove.state, timed);
      expect(state).toBe(drove.state);
      expect(state).toEqual(before);
      expect(effects).toEqual([]);
      return canApply(drove.state, timed)?.code;
    },
    join: (...ids) => ids.flatMap((id) => drove.do({ type: 'joined', participantId: id, name: id.toUpperCase() })),
    upload: (id, hash = id, round = drove.state.round, attempt = drove.state.current?.attempt ?? 0) =>
      drove.do(uploaded(id, hash, round, attempt)),
    begin(...ids) {
      drove.do({ type: 'opened' });
      drove.join(...ids);
      drove.do({ type: 'starting' });
      return drove.do({ type: 'started', adapter: ref('a0'), baseline: null });
    },
    timer: (timer) =>
      drove.do({ type: 'timer', timer, round: drove.state.round, attempt: drove.state.current?.attempt ?? 0 }),
  };
  return drove;
}
const uploaded = (id: string, hash: string, round: number, attempt: number): Untimed => ({
  type: 'uploaded',
  round,
  attempt,
  update: { participantId: id, blob: { sha256: sha(hash), bytes: 120 }, examples: 7, lossNats: 2, updateNorm: 0.5 },
});
const kinds = (effects: readonly Effect[]): string[] =>
  effects.map((effect) => effect.type).filter((type) => type !== 'broadcast');
const offeredTo = (effects: readonly Effect[]): string[] =>
  effects.flatMap((effect) => (effect.type === 'offer' ? [effect.participantId] : []));

describe('joining and starting', () => {
  it('R1: nobody joins a draft; opening it lets people in', () => {
    const run = drive();
    expect(run.refusal({ type: 'joined', participantId: 'a', name: 'A' })).toBe('wrong-state');
    run.do({ type: 'opened' });
    expect(run.state.phase).toBe('open');
    run.join('a');
    expect(run.state.participants).toEqual([
      { participantId: 'a', name: 'A', connected: true, disconnectedAtMs: null, removed: false },
    ]);
    expect(run.refusal({ type: 'opened' })).toBe('wrong-state');
  });

  it('R2: joins once, keeps the ordinal, and no more than the maximum at a time', () => {
    const run = drive({ participants: { max: 2 } });
    run.do({ type: 'opened' });
    run.join('b', 'a');
    expect(run.refusal({ type: 'joined', participantId: 'a', name: 'A' })).toBe('duplicate');
    expect(run.refusal({ type: 'joined', participantId: 'c', name: 'C' })).toBe('forbidden');
    run.do({ type: 'removed', participantId: 'b', reason: 'test' });
    run.join('c');
    expect(run.state.participants.map((one) => one.participantId)).toEqual(['b', 'a', 'c']);
    expect(run.refusal({ type: 'connected', participantId: 'b' })).toBe('forbidden');
    expect(run.refusal({ type: 'connected', participantId: 'z' })).toBe('not-found');
  });

  it('R3: the operator starts it, the shell makes the adapter, round 0 begins', () => {
    const run = drive();
    run.do({ type: 'opened' });
    run.join('a', 'b');
    expect(kinds(run.do({ type: 'starting' }))).toEqual(['start']);
    expect(run.state).toMatchObject({ phase: 'running', current: null, adapter: null });
    expect(run.refusal({ type: 'starting' })).toBe('wrong-state');
    const effects = run.do({ type: 'started', adapter: ref('a0'), baseline: metrics });
    expect(kinds(effects)).toEqual(['offer', 'offer', 'timer']);
    expect(run.state).toMatchObject({
      adapter: ref('a0'),
      baseline: metrics,
      round: 0,
      current: { phase: 'training', round: 0 },
    });
    expect(run.refusal({ type: 'started', adapter: ref('a1'), baseline: null })).toBe('wrong-state');
  });

  it('R3: with autoStart it starts by itself when enough are connected', () => {
    const run = drive({ autoStart: true, participants: { min: 3 } });
    run.do({ type: 'opened' });
    expect(kinds(run.join('a', 'b'))).toEqual([]);
    run.do({ type: 'disconnected', participantId: 'a' });
    expect(kinds(run.join('c'))).toEqual([]);
    expect(kinds(run.do({ type: 'connected', participantId: 'a' }))).toEqual(['start']);
    expect(run.state.phase).toBe('running');
    const manual = drive();
    manual.do({ type: 'opened' });
    expect(kinds(manual.join('a', 'b', 'c'))).toEqual([]);
  });
});

describe('gathering, sampling, offers', () => {
  it('R4: gathers until the quorum is present', () => {
    const run = drive();
    expect(kinds(run.begin('a'))).toEqual([]);
    expect(run.state.current).toMatchObject({ phase: 'gathering', sampled: [], deadlineMs: null });
    run.nowMs = 500;
    const effects = run.join('b');
    expect(offeredTo(effects)).toEqual(['a', 'b']);
    expect(run.state.current).toMatchObject({
      phase: 'training',
      sampled: ['a', 'b'],
      startedAtMs: 500,
      deadlineMs: 1500,
    });
  });

  it('R4: who lost the connection a moment ago is still present, later not', () => {
    const soon = drive();
    soon.begin('a', 'b', 'c');
    for (const id of ['a', 'b', 'c']) soon.upload(id);
    soon.do({ type: 'disconnected', participantId: 'c' });
    soon.nowMs = RECONNECT_MS - 1;
    expect(offeredTo(soon.do({ type: 'aggregated', round: 0, adapter: ref('a1') }))).toEqual(['a', 'b']);
    expect(soon.state.current?.sampled).toEqual(['a', 'b', 'c']);
    const later = drive();
    later.begin('a', 'b', 'c');
    for (const id of ['a', 'b', 'c']) later.upload(id);
    later.do({ type: 'disconnected', participantId: 'c' });
    later.nowMs = RECONNECT_MS;
    later.do({ type: 'aggregated', round: 0, adapter: ref('a1') });
    expect(later.state.current?.sampled).toEqual(['a', 'b']);
  });

  it('R5: with round-only seeding samples as random.seed(round) and random.sample of Python do, in every run', () => {
    for (const seed of [1, 2]) {
      const run = drive({ seed, rounds: 4, seeding: 'round-only', participants: { min: 3, perRound: 3 } });
      run.begin('a', 'b', 'c', 'd', 'e', 'f');
      const rounds = [0, 1, 2, 3].map(() => {
        const { sampled = [] } = run.state.current ?? {};
        for (const id of sampled) run.upload(id);
        run.do({ type: 'aggregated', round: run.state.round, adapter: ref('a1') });
        return sampled.join('');
      });
      // CPython 3: sorted(random.sample(range(6), 3)) after random.seed(0), 1, 2, 3.
      expect(rounds).toEqual(['adf', 'abe', 'aef', 'bef']);
    }
  });

  it('R5: samples perRound of those present, by run seed and round', () => {
    const ids = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
    const sampledBy = (seed: number, rounds = 6): string[] => {
      const run = drive({ seed, rounds, participants: { min: 3, perRound: 3 } });
      run.begin(...ids);
      const seen: string[] = [];
      for (let round = 0; round < rounds; round++) {
        const sampled = run.state.current?.sampled ?? [];
        expect(sampled).toHaveLength(3);
        seen.push(sampled.join(''));
        for (const id of sampled) run.upload(id);
        run.do({ type: 'aggregated', round, adapter: ref(`a${round}`) });
      }
      return seen;
    };
    expect(sampledBy(1)).toEqual(sampledBy(1));
    expect(sampledBy(1)).not.toEqual(sampledBy(2));
    expect(new Set(sampledBy(1)).size).toBeGreaterThan(2);
    expect(new Set(sampledBy(1, 40).join('')).size).toBe(ids.length);
  });

  it('R5: local training samples its one participant, alone', () => {
    const run = drive({ algorithm: { id: 'local', hyper: { client: 1 } }, rounds: 1 });
    run.begin('a', 'b', 'c');
    expect(run.state.current?.sampled).toEqual(['b']);
    run.upload('b');
    expect(run.state.current?.phase).toBe('aggregating');
  });

  it('R6: offers carry the round and its deadline; those who owe get theirs again on reconnecting', () => {
    const run = drive();
    const effects = run.begin('a', 'b');
    expect(effects[0]).toEqual({ type: 'offer', participantId: 'a', round: 0, attempt: 0, deadlineMs: 1000 });
    expect(effects).toContainEqual({ type: 'timer', round: 0, attempt: 0, timer: 'deadline', atMs: 1000 });
    run.do({ type: 'accepted', participantId: 'a', round: 0, attempt: 0 });
    expect(run.state.current?.accepted).toEqual(['a']);
    run.do({ type: 'disconnected', participantId: 'a' });
    expect(offeredTo(run.do({ type: 'connected', participantId: 'a' }))).toEqual(['a']);
    run.upload('a');
    expect(offeredTo(run.do({ type: 'connected', participantId: 'a' }))).toEqual([]);
    expect(offeredTo(run.do({ type: 'connected', participantId: 'b' }))).toEqual(['b']); // a second tab took over
  });

  it('R6: late joiners wait for the next round', () => {
    const run = drive();
    run.begin('a', 'b');
    expect(offeredTo(run.join('c'))).toEqual([]);
    expect(run.refusal(uploaded('c', 'c', 0, 0))).toBe('forbidden');
    run.upload('a');
    run.upload('b');
    expect(offeredTo(run.do({ type: 'aggregated', round: 0, adapter: ref('a1') }))).toEqual(['a', 'b', 'c']);
  });

  it('R7: when the sampled cannot make the quorum, others are called in, no more than needed', () => {
    const run = drive();
    run.begin('a', 'b');
    run.join('c', 'd');
    const effects = run.do({ type: 'declined', participantId: 'a', round: 0, attempt: 0, reason: 'no GPU' });
    expect(offeredTo(effects)).toHaveLength(1);
    expect(run.state.current?.sampled.slice(0, 2)).toEqual(['a', 'b']);
    expect(run.state.current?.sampled).toHaveLength(3);
    expect(offeredTo(run.do({ type: 'connected', participantId: 'a' }))).toEqual([]); // it declined
    const alone = drive();
    alone.begin('a', 'b');
    alone.do({ type: 'declined', participantId: 'a', round: 0, attempt: 0, reason: 'no GPU' });
    expect(offeredTo(alone.join('z'))).toEqual(['z']);
  });
});

describe('updates', () => {
  it('R8: one update of a participant is counted; the same again is accepted again, another is a duplicate', () => {
    const run = drive({ participants: { min: 3 } });
    run.begin('a', 'b', 'c');
    run.upload('a');
    const key = { participantId: 'a', round: 0, attempt: 0 };
    expect(judgeUpload(run.state, { ...key, sha256: sha('a') })).toEqual({ status: 'accepted' });
    expect(run.upload('a')).toEqual([]);
    expect(run.state.current?.updates).toHaveLength(1);
    expect(run.refusal(uploaded('a', 'a2', 0, 0))).toBe('duplicate');
    run.upload('b');
    run.upload('c');
    run.do({ type: 'aggregated', round: 0, adapter: ref('a1') });
    expect(judgeUpload(run.state, { ...key, sha256: sha('a') })).toEqual({ status: 'accepted' });
    expect(judgeUpload(run.state, { ...key, sha256: sha('a2') })).toMatchObject({
      status: 'rejected',
      code: 'duplicate',
      round: 1,
    });
    expect(run.upload('a', 'a', 0, 0)).toEqual([]);
    expect(run.state.current?.updates).toEqual([]);
  });

  it('R9: refuses with a code, and counts nothing', () => {
    const run = drive({ participants: { min: 2, perRound: 2 }, rounds: 3 });
    run.begin('a', 'b', 'c');
    const [one = '', two = ''] = run.state.current?.sampled ?? [];
    const other = ['a', 'b', 'c'].find((id) => id !== one && id !== two) as string;
    expect(run.refusal(uploaded('nobody', 'x', 0, 0))).toBe('not-found');
    expect(run.refusal(uploaded(other, 'x', 0, 0))).toBe('forbidden');
    expect(run.refusal(uploaded(one, 'x', 1, 0))).toBe('invalid');
    expect(run.refusal(uploaded(one, 'x', 0, 1))).toBe('stale');
    run.do({ type: 'declined', participantId: one, round: 0, attempt: 0, reason: 'busy' });
    expect(run.refusal(uploaded(one, 'x', 0, 0))).toBe('wrong-state');
    run.upload(two);
    run.upload(other); // called in for the one who declined
    expect(run.state.current?.phase).toBe('aggregating');
    run.do({ type: 'aggregated', round: 0, adapter: ref('a1') });
    expect(judgeUpload(run.state, { participantId: one, round: 0, attempt: 0, sha256: sha('x') })).toEqual({
      status: 'late',
      round: 1,
    });
    expect(judgeUpload(run.state, { participantId: one, round: 0, attempt: 3, sha256: sha('x') })).toMatchObject({
      code: 'stale',
      round: 1,
    });
    run.do({ type: 'removed', participantId: one, reason: 'test' });
    expect(run.refusal(uploaded(one, 'x', 1, 0))).toBe('forbidden');
  });

  it('R9: an update for a round that is being aggregated is late', () => {
    const run = drive();
    run.begin('a', 'b', 'c');
    run.upload('a');
    run.upload('b');
    run.nowMs = 100;
    run.timer('grace');
    expect(run.refusal(uploaded('c', 'c', 0, 0))).toBe('late');
    expect(run.state.current?.updates).toHaveLength(2);
  });

  it('R9: what the shell refused is recorded and not fatal', () => {
    const run = drive();
    run.begin('a', 'b');
    const refused = { round: 0, participantId: 'a', code: 'not-finite', message: 'NaN at 3' } as const;
    run.do({ type: 'refused', ...refused });
    expect(run.state.current?.refused).toEqual([{ participantId: 'a', code: 'not-finite', message: 'NaN at 3' }]);
    expect(run.refusal({ type: 'refused', ...refused, round: 1 })).toBe('stale');
    run.upload('a');
    run.upload('b');
    run.do({ type: 'aggregated', round: 0, adapter: ref('a1') });
    expect(run.state.history[0]?.refused).toHaveLength(1);
  });
});

describe('closing', () => {
  it('R10: waits the grace after the quorum, then closes by its timer', () => {
    const run = drive();
    run.begin('a', 'b', 'c');
    run.nowMs = 200;
    run.upload('a');
    expect(run.state.current?.phase).toBe('training');
    const effects = run.upload('b');
    expect(effects).toContainEqual({ type: 'timer', round: 0, attempt: 0, timer: 'grace', atMs: 300 });
    expect(run.state.current).toMatchObject({ phase: 'closing', graceUntilMs: 300 });
    run.nowMs = 300;
    const closed = run.timer('grace');
    expect(closed[0]).toMatchObject({
      type: 'aggregate',
      round: 0,
      attempt: 0,
      adapter: ref('a0'),
      algorithmState: null,
    });
    expect(run.state.current?.updates.map((update) => update.participantId)).toEqual(['a', 'b']);
  });

  it('R10: an update within the grace is counted; the grace never goes beyond the deadline', () => {
    const run = drive({ participants: { min: 2 } });
    run.begin('a', 'b', 'c', 'd');
    run.nowMs = 950;
    run.upload('a');
    run.upload('b');
    expect(run.state.current?.graceUntilMs).toBe(1000);
    run.nowMs = 980;
    run.upload('c');
    expect(run.state.current).toMatchObject({ phase: 'closing', graceUntilMs: 1000 });
    expect(run.state.current?.updates).toHaveLength(3);
  });

  it('R11: closes at once when everyone sampled has uploaded or departed', () => {
    const run = drive();
    run.begin('a', 'b', 'c');
    run.upload('a');
    run.do({ type: 'declined', participantId: 'b', round: 0, attempt: 0, reason: 'leaving' });
    expect(run.state.current?.phase).toBe('training');
    expect(kinds(run.upload('c'))).toEqual(['aggregate']);
    const other = drive();
    other.begin('a', 'b', 'c');
    other.upload('a');
    other.upload('b');
    expect(kinds(other.do({ type: 'declined', participantId: 'c', round: 0, attempt: 0, reason: 'leaving' }))).toEqual([
      'aggregate',
    ]);
  });

  it('R12: a timer before its time is set again; one of another attempt or round is ignored', () => {
    const run = drive();
    run.begin('a', 'b', 'c');
    run.nowMs = 999;
    expect(run.timer('deadline')).toEqual([{ type: 'timer', round: 0, attempt: 0, timer: 'deadline', atMs: 1000 }]);
    expect(run.timer('grace')).toEqual([]);
    run.nowMs = 5000;
    expect(run.refusal({ type: 'timer', timer: 'deadline', round: 1, attempt: 0 })).toBe('stale');
    expect(run.refusal({ type: 'timer', timer: 'deadline', round: 0, attempt: 1 })).toBe('stale');
    expect(run.state.current?.phase).toBe('training');
  });

  it('R13: under quorum at the deadline it extends once, offers again and makes up for who is gone', () => {
    const run = drive();
    run.begin('a', 'b');
    run.join('c');
    run.upload('a');
    run.do({ type: 'disconnected', participantId: 'b' });
    run.nowMs = 1000;
    const effects = run.timer('deadline');
    expect(run.state.current).toMatchObject({
      phase: 'training',
      attempt: 0,
      extended: true,
      deadlineMs: 2000,
      sampled: ['a', 'b', 'c'],
    });
    expect(run.state.current?.note).toContain('1 of 2');
    expect(effects).toContainEqual({ type: 'timer', round: 0, attempt: 0, timer: 'deadline', atMs: 2000 });
    expect(offeredTo(effects)).toEqual(['c']);
    expect(offeredTo(run.do({ type: 'connected', participantId: 'b' }))).toEqual(['b']);
    run.upload('c');
    expect(run.state.current?.phase).toBe('closing');
    expect(run.state.current?.updates.map((update) => update.participantId)).toEqual(['a', 'c']);
  });

  it('R13: who is still training gets the new deadline', () => {
    const run = drive();
    run.begin('a', 'b');
    run.nowMs = 1000;
    expect(run.timer('deadline')).toContainEqual({
      type: 'offer',
      participantId: 'b',
      round: 0,
      attempt: 0,
      deadlineMs: 2000,
    });
  });

  it('R14: under quorum again it keeps the model and says so', () => {
    const run = drive();
    run.begin('a', 'b');
    run.upload('a');
    run.nowMs = 1000;
    run.timer('deadline');
    run.nowMs = 2000;
    const effects = run.timer('deadline');
    expect(kinds(effects)).toEqual(['publish', 'offer', 'offer', 'timer']);
    expect(run.state.history[0]).toMatchObject({
      round: 0,
      kept: true,
      adapterSha256: sha('a0'),
      evaluation: null,
      phase: 'published',
    });
    expect(run.state.history[0]?.note).toBe('The model was kept: 1 of 2 updates came in time.');
    expect(run.state).toMatchObject({ round: 1, adapter: ref('a0'), current: { round: 1, phase: 'training' } });
  });

  it('R12: at the deadline with the quorum it closes', () => {
    const run = drive({ graceMs: 100_000 });
    run.begin('a', 'b', 'c');
    run.upload('a');
    run.upload('b');
    expect(run.state.current).toMatchObject({ phase: 'closing', graceUntilMs: 1000 });
    run.nowMs = 1000;
    expect(kinds(run.timer('deadline'))).toEqual(['aggregate']);
  });
});

describe('departures', () => {
  it('R15: an update uploaded before losing the connection counts, once', () => {
    const run = drive();
    run.begin('a', 'b');
    run.upload('a');
    run.do({ type: 'disconnected', participantId: 'a' });
    const effects = run.upload('b');
    expect(effects[0]).toMatchObject({ type: 'aggregate', updates: [{ participantId: 'a' }, { participantId: 'b' }] });
  });

  it('R15: one who declines after uploading stays counted', () => {
    const run = drive();
    run.begin('a', 'b');
    run.upload('a');
    run.do({ type: 'declined', participantId: 'a', round: 0, attempt: 0, reason: 'leaving' });
    expect(run.state.current).toMatchObject({ departed: [], updates: [{ participantId: 'a' }] });
  });

  it('R15: removal withdraws the update while the round is open, and may reopen it', () => {
    const run = drive();
    run.begin('a', 'b', 'c');
    run.upload('a');
    run.upload('b');
    expect(run.state.current?.phase).toBe('closing');
    const effects = run.do({ type: 'removed', participantId: 'b', reason: 'poison' });
    expect(effects[0]).toEqual({ type: 'disconnect', participantId: 'b', reason: 'poison' });
    expect(run.state.current).toMatchObject({
      phase: 'training',
      departed: ['b'],
      graceUntilMs: null,
      updates: [{ participantId: 'a' }],
    });
    run.nowMs = 100;
    expect(run.timer('grace')).toEqual([]);
    expect(kinds(run.upload('c'))).toEqual(['aggregate']);
  });

  it('R15: removal after closing leaves the round alone, but not the next one', () => {
    const run = drive({ rounds: 3 });
    run.begin('a', 'b', 'c');
    for (const id of ['a', 'b', 'c']) run.upload(id);
    run.do({ type: 'removed', participantId: 'b', reason: 'left' });
    expect(run.state.current?.updates).toHaveLength(3);
    run.do({ type: 'aggregated', round: 0, adapter: ref('a1') });
    expect(run.state.current?.sampled).toEqual(['a', 'c']);
  });
});

describe('aggregation and evaluation', () => {
  const aggregating = (change: Change = {}) => {
    const run = drive(change);
    run.begin('a', 'b');
    run.upload('a');
    run.upload('b');
    return run;
  };

  it('R16: evaluates the candidate when due, then publishes it', () => {
    const run = aggregating({ evaluationId: 'held-out' });
    const stored = { sha256: sha('5'), bytes: 9 };
    const effects = run.do({ type: 'aggregated', round: 0, adapter: ref('a1'), algorithmState: stored });
    expect(kinds(effects)).toEqual(['evaluate']);
    expect(run.state).toMatchObject({ adapter: ref('a0'), algorithmState: null, current: { phase: 'evaluating' } });
    run.nowMs = 777;
    const published = run.do({ type: 'evaluated', round: 0, metrics });
    expect(published[0]).toMatchObject({
      type: 'publish',
      round: 0,
      adapter: ref('a1'),
      summary: { evaluation: metrics, kept: false },
    });
    expect(run.state).toMatchObject({ adapter: ref('a1'), algorithmState: stored, round: 1 });
    expect(run.state.history[0]).toMatchObject({
      phase: 'published',
      publishedAtMs: 777,
      adapterSha256: sha('a1'),
      sampled: ['a', 'b'],
    });
    run.upload('a');
    expect(run.upload('b')[0]).toMatchObject({ type: 'aggregate', adapter: ref('a1'), algorithmState: stored });
  });

  it('R16: evaluates every k rounds and in the last one; not without held-out data', () => {
    const run = drive({ evaluationId: 'held-out', evaluateEveryRounds: 2, rounds: 5 });
    run.begin('a', 'b');
    const evaluated: number[] = [];
    for (let round = 0; round < 5; round++) {
      run.upload('a');
      run.upload('b');
      const effects = run.do({ type: 'aggregated', round, adapter: ref(`a${round}`) });
      if (!kinds(effects).includes('evaluate')) continue;
      evaluated.push(round);
      run.do({ type: 'evaluated', round, metrics });
    }
    expect(evaluated).toEqual([1, 3, 4]);
    const without = aggregating();
    expect(kinds(without.do({ type: 'aggregated', round: 0, adapter: ref('a1') }))[0]).toBe('publish');
  });

  it('R16: an answer for another round or phase is ignored', () => {
    const run = aggregating({ evaluationId: 'held-out' });
    expect(run.refusal({ type: 'evaluated', round: 0, metrics })).toBe('stale');
    expect(run.refusal({ type: 'aggregated', round: 1, adapter: ref('a1') })).toBe('stale');
    run.do({ type: 'aggregated', round: 0, adapter: ref('a1') });
    expect(run.refusal({ type: 'aggregated', round: 0, adapter: ref('a2') })).toBe('stale');
    expect(run.state.current?.candidate?.adapter).toEqual(ref('a1'));
  });

  it('R17: an aggregate that is not finite is tried once more, then the model is kept', () => {
    const run = aggregating();
    const seed = planFor(run.state, 'a').seed;
    const effects = run.do({ type: 'aggregation-failed', round: 0, reason: 'a value is not finite' });
    expect(offeredTo(effects)).toEqual(['a', 'b']);
    expect(run.state.current).toMatchObject({ round: 0, attempt: 1, phase: 'training', updates: [], extended: false });
    expect(run.state.adapter).toEqual(ref('a0'));
    expect(planFor(run.state, 'a').seed).not.toBe(seed);
    expect(run.refusal(uploaded('a', 'a', 0, 0))).toBe('stale');
    run.upload('a');
    run.upload('b');
    const kept = run.do({ type: 'aggregation-failed', round: 0, reason: 'a value is not finite' });
    expect(kept[0]).toMatchObject({ type: 'publish', adapter: ref('a0'), summary: { kept: true, attempt: 1 } });
    expect(run.state.history[0]?.note).toContain('not finite');
    expect(run.state).toMatchObject({ round: 1, current: { attempt: 0 } });
  });

  it('R17: where the same clients, rows and masks would be drawn again, the model is kept at once', () => {
    for (const [change, again] of [
      [{ seeding: 'round-only' }, false],
      [{ seeding: 'round-only', lora: { dropout: 0.1 } }, true],
      [{ seeding: 'run' }, true],
    ] as const) {
      const run = aggregating(change);
      const effects = run.do({ type: 'aggregation-failed', round: 0, reason: 'a value is not finite' });
      expect(run.state.history.map(({ kept, attempt }) => ({ kept, attempt }))).toEqual(
        again ? [] : [{ kept: true, attempt: 0 }],
      );
      expect(run.state).toMatchObject({
        adapter: ref('a0'),
        round: again ? 0 : 1,
        current: { attempt: again ? 1 : 0 },
      });
      expect(offeredTo(effects)).toEqual(['a', 'b']);
      if (!again) expect(run.state.history[0]?.note).toMatch(/kept: a value is not finite/);
    }
  });

  it('R17: a candidate whose held-out loss is not finite is not published', () => {
    const run = aggregating({ evaluationId: 'held-out' });
    run.do({ type: 'aggregated', round: 0, adapter: ref('bad') });
    run.do({ type: 'evaluated', round: 0, metrics: { ...metrics, lossNats: Number.NaN } });
    expect(run.state).toMatchObject({ adapter: ref('a0'), round: 0, current: { attempt: 1, candidate: null } });
  });
});

describe('pause and end', () => {
  it('R18: while paused the round in progress goes on, and no new one begins', () => {
    const run = drive({ rounds: 2 });
    run.begin('a', 'b');
    run.upload('a');
    run.do({ type: 'paused', reason: 'disk full' });
    expect(run.state).toMatchObject({ phase: 'paused', reason: 'disk full' });
    expect(offeredTo(run.do({ type: 'connected', participantId: 'b' }))).toEqual(['b']);
    expect(kinds(run.upload('b'))).toEqual(['aggregate']);
    expect(kinds(run.do({ type: 'aggregated', round: 0, adapter: ref('a1') }))).toEqual(['publish']);
    expect(run.state).toMatchObject({ phase: 'paused', round: 1, current: null, adapter: ref('a1') });
    expect(kinds(run.join('c'))).toEqual([]);
    expect(kinds(run.do({ type: 'resumed' }))).toEqual(['offer', 'offer', 'offer', 'timer']);
    expect(run.state).toMatchObject({ phase: 'running', reason: null, current: { round: 1 } });
  });

  it('R18: resuming in the middle of a round changes nothing else; only a running run pauses', () => {
    const run = drive();
    run.begin('a', 'b');
    run.do({ type: 'paused', reason: 'lunch' });
    expect(run.refusal({ type: 'paused', reason: 'again' })).toBe('wrong-state');
    const before = run.state.current;
    expect(kinds(run.do({ type: 'resumed' }))).toEqual([]);
    expect(run.state.current).toEqual(before);
    expect(run.refusal({ type: 'resumed' })).toBe('wrong-state');
  });

  it('R18: paused while the first adapter is made, it begins when resumed; paused while gathering, too', () => {
    const run = drive();
    run.do({ type: 'opened' });
    run.join('a', 'b');
    run.do({ type: 'starting' });
    run.do({ type: 'paused', reason: 'wait' });
    expect(kinds(run.do({ type: 'started', adapter: ref('a0'), baseline: null }))).toEqual([]);
    expect(kinds(run.do({ type: 'resumed' }))).toEqual(['offer', 'offer', 'timer']);
    const few = drive();
    few.begin('a');
    few.do({ type: 'paused', reason: 'wait' });
    expect(kinds(few.join('b'))).toEqual([]);
    expect(kinds(few.do({ type: 'resumed' }))).toEqual(['offer', 'offer', 'timer']);
  });

  it('R19: finishes after the last round', () => {
    const run = drive({ rounds: 1 });
    run.begin('a', 'b');
    run.upload('a');
    run.upload('b');
    expect(kinds(run.do({ type: 'aggregated', round: 0, adapter: ref('a1') }))).toEqual(['publish']);
    expect(run.state).toMatchObject({ phase: 'finished', round: 1, current: null, adapter: ref('a1') });
    expect(run.refusal(uploaded('a', 'new', 1, 0))).toBe('wrong-state');
    expect(judgeUpload(run.state, { participantId: 'a', round: 0, attempt: 0, sha256: sha('a') })).toEqual({
      status: 'accepted',
    });
    expect(run.refusal({ type: 'aborted', reason: 'late' })).toBe('wrong-state');
    expect(run.refusal({ type: 'joined', participantId: 'z', name: 'Z' })).toBe('wrong-state');
  });

  it('R9: an update that comes after the last round has closed is late, not an error', () => {
    const run = drive({ rounds: 1 });
    run.begin('a', 'b', 'c');
    run.upload('a');
    run.upload('b');
    run.nowMs = 100;
    run.timer('grace');
    run.do({ type: 'aggregated', round: 0, adapter: ref('a1') });
    expect(run.state.phase).toBe('finished');
    expect(run.refusal(uploaded('c', 'c', 0, 0))).toBe('late');
  });

  it.each(['aborted', 'failed'] as const)('R19: %s ends it at once, with a reason', (type) => {
    const run = drive();
    run.begin('a', 'b');
    run.do({ type, reason: 'because' });
    expect(run.state).toMatchObject({ phase: type, reason: 'because', current: null });
    expect(run.refusal({ type: 'resumed' })).toBe('wrong-state');
    expect(run.refusal({ type: 'timer', timer: 'deadline', round: 0, attempt: 0 })).toBe('stale');
    expect(kinds(run.do({ type: 'recovered' }))).toEqual([]);
  });
});

describe('recovery', () => {
  it('R20: issues again what is outstanding at every stage', () => {
    const run = drive({ evaluationId: 'held-out' });
    run.do({ type: 'opened' });
    run.join('a', 'b', 'c');
    run.do({ type: 'starting' });
    expect(kinds(run.do({ type: 'recovered' }))).toEqual(['start']);
    for (const id of ['a', 'b', 'c']) run.do({ type: 'connected', participantId: id });
    run.do({ type: 'started', adapter: ref('a0'), baseline: null });
    run.upload('a');
    run.nowMs = 50;
    expect(run.do({ type: 'recovered' })).toContainEqual({
      type: 'timer',
      round: 0,
      attempt: 0,
      timer: 'deadline',
      atMs: 1000,
    });
    expect(run.state.participants.map((one) => one.connected)).toEqual([false, false, false]);
    expect(offeredTo(run.do({ type: 'connected', participantId: 'a' }))).toEqual([]);
    expect(offeredTo(run.do({ type: 'connected', participantId: 'b' }))).toEqual(['b']);
    run.upload('b');
    expect(kinds(run.do({ type: 'recovered' }))).toEqual(['timer', 'timer']);
    run.nowMs = 150;
    run.timer('grace');
    expect(run.do({ type: 'recovered' })[0]).toMatchObject({
      type: 'aggregate',
      updates: [{ participantId: 'a' }, { participantId: 'b' }],
    });
    run.do({ type: 'aggregated', round: 0, adapter: ref('a1') });
    expect(run.do({ type: 'recovered' })[0]).toEqual({ type: 'evaluate', round: 0, adapter: ref('a1') });
  });

  it('R20: a restart between two rounds samples whom it would have sampled without it', () => {
    const sampledAfter = (restart: boolean): readonly string[] | undefined => {
      const run = drive({ rounds: 3 });
      run.begin('a', 'b', 'c');
      for (const id of ['a', 'b', 'c']) run.upload(id);
      if (restart) run.do({ type: 'recovered' });
      run.nowMs = 2000;
      if (restart) run.do({ type: 'connected', participantId: 'c' });
      run.do({ type: 'aggregated', round: 0, adapter: ref('a1') });
      return run.state.current?.sampled;
    };
    expect(sampledAfter(true)).toEqual(sampledAfter(false));
  });
});

describe('plans and views', () => {
  it('R22: the learning rate falls by a cosine over rounds', () => {
    const at = (round: number) => cosineLearningRate({ round, rounds: 4, max: 9, min: 1 });
    expect([0, 1, 2, 3].map((round) => Number(at(round).toFixed(12)))).toEqual([
      9,
      Number((5 + 4 * Math.SQRT1_2).toFixed(12)),
      5,
      Number((5 - 4 * Math.SQRT1_2).toFixed(12)),
    ]);
  });

  it('R22: every participant, round, attempt and run has its own seed, the same on every machine', () => {
    const seeds = [
      roundSeed(1, 0, 0),
      roundSeed(1, 0, 1),
      roundSeed(1, 1, 0),
      roundSeed(2, 0, 0),
      roundSeed(1, 0, 0, 1),
    ];
    expect(new Set(seeds).size).toBe(5);
    expect(roundSeed(1, 0, 0)).toBe(roundSeed(1, 0, 0, 0));
    for (const seed of seeds) expect(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32).toBe(true);
  });

  it('R22: the plan is the configuration, for the round in progress', () => {
    const run = drive({ seed: 5, steps: 12, batchSize: 3, learningRate: 0.5, minLearningRate: 0.25 });
    run.begin('a', 'b');
    expect(planFor(run.state, 'b')).toEqual({
      steps: 12,
      batchSize: 3,
      learningRate: 0.5,
      clipNorm: 1,
      weightDecay: 0,
      optimizerState: 'fresh',
      seed: roundSeed(5, 0, 1),
      seeding: 'run',
      algorithm: { id: 'fedavg', hyper: { weighting: 'examples' } },
    });
    expect(() => planFor(run.state, 'z')).toThrow(expect.objectContaining({ code: 'not-found' }));
  });

  it('R22: DPO’s reference is the adapter of round 0 where the run starts from one and asks for it', () => {
    const after = (config: object) => {
      const run = drive(config);
      run.begin('a', 'b');
      const { adapter, firstAdapter } = run.state;
      expect(firstAdapter).toEqual(adapter);
      run.upload('a');
      run.upload('b');
      run.do({ type: 'aggregated', round: 0, adapter: ref('a1') });
      expect(run.state.adapter).toEqual(ref('a1'));
      expect(run.state.firstAdapter).toEqual(firstAdapter);
      return [referenceAdapter(run.state), firstAdapter];
    };
    const startAdapter = 'c'.repeat(64);
    const [reference, first] = after({ task: 'dpo', dpo: { reference: 'start' }, startAdapter });
    expect(reference).toEqual(first);
    for (const other of [
      { task: 'dpo', dpo: { reference: 'start' } }, // a new adapter is the base
      { task: 'dpo', dpo: { reference: 'base' }, startAdapter },
      { task: 'dpo', startAdapter },
      { task: 'sft', dpo: { reference: 'start' }, startAdapter },
    ]) {
      expect(after(other)[0]).toBeNull();
    }
  });

  it('R22: the learning rate stays where the schedule says so', () => {
    const rates = (['cosine', 'constant'] as const).map((learningRateSchedule) => {
      const run = drive({ rounds: 2, learningRate: 0.5, minLearningRate: 0.25, learningRateSchedule });
      run.begin('a', 'b');
      return [0, 1].map(() => {
        const { learningRate } = planFor(run.state, 'a');
        run.upload('a');
        run.upload('b');
        run.do({ type: 'aggregated', round: run.state.round, adapter: ref('a1') });
        return learningRate;
      });
    });
    expect(rates).toEqual([
      [0.5, 0.375],
      [0.5, 0.5],
    ]);
  });

  it('R22: rows are chosen as the run says, and a preference run is planned like another', () => {
    const run = drive({ task: 'dpo', seeding: 'round-only' });
    run.begin('a', 'b');
    expect(planFor(run.state, 'a')).toMatchObject({ seeding: 'round-only', seed: roundSeed(1, 0, 0) });
    expect(run.state.config).toMatchObject({ task: 'dpo', dpo: { beta: 0.1 } });
  });

  it('R25: an offer names the participant’s last update that went into the model, not one of a round that kept it', () => {
    const run = drive({ rounds: 4, participants: { min: 2, perRound: 2 } });
    run.begin('a', 'b');
    const counted = () => ['a', 'b'].map((id) => countedUpdate(run.state, id));
    expect(counted()).toEqual([null, null]);
    run.upload('a', 'a0');
    run.upload('b', 'b0');
    expect(counted()).toEqual([null, null]); // not published yet
    run.do({ type: 'aggregated', round: 0, adapter: ref('a1') });
    expect(counted()).toEqual([sha('a0'), sha('b0')]);
    run.upload('a', 'a1'); // alone, below the quorum, at both deadlines
    run.nowMs = 1000;
    run.timer('deadline');
    run.nowMs = 2000;
    run.timer('deadline');
    expect(run.state.history[1]).toMatchObject({ kept: true, received: [{ participantId: 'a' }] });
    expect(counted()).toEqual([sha('a0'), sha('b0')]);
    run.upload('a', 'a2');
    run.upload('b', 'b2');
    run.do({ type: 'aggregated', round: 2, adapter: ref('a3') });
    expect(counted()).toEqual([sha('a2'), sha('b2')]);
  });

  it('R24: an aggregate is told how many clients there are, sampled or not, and with those who are called in', () => {
    const run = drive({ participants: { min: 2, perRound: 2 } });
    run.begin('a', 'b', 'c', 'd');
    run.do({ type: 'removed', participantId: 'd', reason: 'test' });
    const clients = (effects: readonly Effect[]) =>
      effects.flatMap((effect) => (effect.type === 'aggregate' ? [effect.clients] : []));
    const finish = () => (run.state.current?.sampled ?? []).flatMap((id) => run.upload(id));
    expect(clients(finish())).toEqual([4]); // d had not left when the round began
    run.do({ type: 'aggregated', round: 0, adapter: ref('a1') });
    expect(run.state.current).toMatchObject({ round: 1, clients: 3 });
    run.join('e', 'f'); // nobody has to be called in: they are clients of the next round
    expect(run.state.current?.clients).toBe(3);
    expect(clients(finish())).toEqual([3]);

    const late = drive({ participants: { min: 2 }, rounds: 1 });
    late.begin('a', 'b');
    late.do({ type: 'disconnected', participantId: 'a' });
    late.nowMs = 1000;
    late.join('c');
    expect(offeredTo(late.timer('deadline'))).toEqual(['b', 'c']);
    late.do({ type: 'connected', participantId: 'a' });
    late.upload('a');
    late.upload('b');
    expect(clients(late.upload('c'))).toEqual([3]); // never fewer than there are updates
  });

  it('R23: what an algorithm shares is offered once there is a state; of others nothing', () => {
    const stored = { sha256: sha('c1'), bytes: 44 };
    for (const [id, expected] of [
      ['scaffold', stored],
      ['fedadam', null],
    ] as const) {
      const run = drive({ algorithm: { id } });
      run.begin('a', 'b');
      expect(sharedState(run.state)).toBeNull();
      run.upload('a');
      run.upload('b');
      run.do({ type: 'aggregated', round: 0, adapter: ref('a1'), algorithmState: stored });
      expect(run.state.algorithmState, id).toEqual(stored);
      expect(sharedState(run.state), id).toEqual(expected);
    }
  });

  it('R21: the view matches its schema at every stage and shows the round in progress last', () => {
    const run = drive({ evaluationId: 'held-out' });
    run.begin('a', 'b');
    run.upload('a');
    const view = runViewOf(run.state);
    expect(runView.parse(view)).toEqual(view);
    expect(view).toMatchObject({
      participants: 2,
      connected: 2,
      roundPhase: 'training',
      rounds: [{ round: 0, phase: 'training' }],
    });
    run.upload('b');
    run.do({ type: 'aggregated', round: 0, adapter: ref('a1') });
    run.do({ type: 'evaluated', round: 0, metrics });
    expect(runView.parse(runViewOf(run.state)).rounds.map((one) => one.phase)).toEqual(['published', 'training']);
  });
});
