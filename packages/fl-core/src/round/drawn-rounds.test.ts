import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type RunConfigInput, runConfig, type TrainPlan } from '../protocol/schema.ts';
import { planFor } from './plan.ts';
import { initialRun, reduce } from './reduce.ts';
import type { Effect, RoundEvent, RunState } from './state.ts';

const ref = (name: string) => ({ url: `/api/adapters/${name}`, sha256: name.padEnd(64, '0'), bytes: 24 });
const figures = (lossNats: number) => ({ lossNats, accuracy: 0.5, rows: 4, labelTokens: 8 });
const BASELINE = figures(9);

interface Played {
  readonly state: RunState;
  /** Of every participant by ordinal: round and plan of each training. */
  readonly trained: readonly (readonly { readonly round: number; readonly plan: Partial<TrainPlan> }[])[];
  /** Rounds whose adapter was measured. */
  readonly measured: readonly number[];
}

/** A whole run in which everybody answers; adapters are named after the round that made them. `lossOf` is what an evaluation says. */
function play(
  settings: Partial<RunConfigInput>,
  clients: number,
  lossOf: (round: number) => number = () => 1,
  interrupt: (before: RoundEvent) => readonly RoundEvent['type'][] = () => [],
): Played {
  const config = runConfig.parse({
    ...{ name: 'x', modelId: 'm', algorithm: { id: 'fedavg' }, lora: {}, graceMs: 1e9, roundDeadlineMs: 1e9 },
    ...settings,
    participants: { min: 1, max: clients, ...settings.participants },
  });
  const ids = Array.from({ length: clients }, (_, i) => `p${i}`);
  let state = initialRun({ runId: 'r', config, atMs: 0 });
  const trained: { round: number; plan: Partial<TrainPlan> }[][] = ids.map(() => []);
  const measured: number[] = [];
  const queue: RoundEvent[] = [
    { type: 'opened', atMs: 0 },
    ...ids.map((participantId): RoundEvent => ({ type: 'joined', participantId, name: participantId, atMs: 0 })),
    { type: 'starting', atMs: 0 },
  ];
  const answer = (effect: Effect): RoundEvent[] => {
    const round = state.round;
    switch (effect.type) {
      case 'start':
        return [{ type: 'started', adapter: ref('start'), baseline: config.evaluationId ? BASELINE : null, atMs: 0 }];
      case 'offer': {
        const { participantId, attempt } = effect;
        const { algorithm: _, ...plan } = planFor(state, participantId);
        trained[ids.indexOf(participantId)]?.push({ round, plan });
        const blob = { sha256: `${participantId}-${round}`, bytes: 1 };
        const update = { participantId, blob, examples: 1, lossNats: 1, updateNorm: 1 };
        return [{ type: 'uploaded', round, attempt, update, atMs: 0 }];
      }
      case 'aggregate':
        return [{ type: 'aggregated', round, adapter: ref(`made-${round}`), atMs: 0 }];
      case 'evaluate':
        measured.push(round);
        return [{ type: 'evaluated', round, metrics: figures(lossOf(round)), atMs: 0 }];
      default:
        return [];
    }
  };
  for (let event = queue.shift(); event; event = queue.shift()) {
    for (const type of interrupt(event)) state = reduce(state, { type, atMs: 0, reason: 'x' } as RoundEvent).state;
    const reduced = reduce(state, event);
    state = reduced.state;
    for (const effect of reduced.effects) queue.push(...answer(effect));
  }
  return { state, trained, measured };
}

const alone = (client: number, rounds: 'every' | 'drawn' = 'drawn') => ({
  id: 'local' as const,
  hyper: { client, rounds },
});

describe('R26: one participant that trains in the rounds for which it is drawn', () => {
  it('trains as it does in a federation of the same seed: the same rounds, learning rates and seeds', () => {
    const reached = { never: 0, passing: 0 };
    fc.assert(
      fc.property(
        fc.record({
          seed: fc.nat(),
          rounds: fc.integer({ min: 1, max: 12 }),
          learningRateSchedule: fc.constantFrom('cosine' as const, 'constant' as const),
          seeding: fc.constantFrom('run' as const, 'round-only' as const),
        }),
        fc
          .integer({ min: 1, max: 7 })
          .chain((clients) => fc.tuple(fc.constant(clients), fc.integer({ min: 1, max: clients }))),
        (settings, [clients, perRound]) => {
          const run = { ...settings, participants: { perRound } };
          const federated = play(run, clients);
          for (let client = 0; client < clients; client++) {
            const { state, trained } = play({ ...run, algorithm: alone(client) }, clients);
            expect(trained[client]).toEqual(federated.trained[client]);
            expect(trained.flat()).toHaveLength(trained[client]?.length ?? 0);
            expect([state.phase, state.round]).toEqual(['finished', settings.rounds]);
            const last = trained[client]?.at(-1)?.round;
            expect(state.adapter).toEqual(last === undefined ? ref('start') : ref(`made-${last}`));
            if (last === undefined) reached.never++;
            reached.passing += state.history.filter(({ kept }) => kept).length;
          }
        },
      ),
      { numRuns: 120, seed: 3 },
    );
    expect(Math.min(reached.never, reached.passing)).toBeGreaterThan(20);
  });

  it('trains in every round where all are drawn, and by default', () => {
    const every = play({ rounds: 5, algorithm: alone(1, 'every'), participants: { perRound: 1 } }, 3);
    expect(every.trained[1]?.map(({ round }) => round)).toEqual([0, 1, 2, 3, 4]);
    const all = play({ rounds: 5, algorithm: alone(1) }, 3);
    expect(all.trained).toEqual(every.trained);
    expect(
      runConfig.parse({ name: 'x', modelId: 'm', algorithm: { id: 'local' }, lora: {}, participants: {} }),
    ).toMatchObject({
      algorithm: { hyper: { rounds: 'every' } },
    });
  });

  const ROUNDS = 40;
  const measuredRun = (evaluateEveryRounds: number, seed: number, lossOf?: (round: number) => number) =>
    play(
      {
        rounds: ROUNDS,
        seed,
        evaluateEveryRounds,
        evaluationId: 'held-out',
        algorithm: alone(0),
        participants: { perRound: 2 },
      },
      9,
      lossOf,
    );

  it.each([1, 3, 7])(
    'measures every model once, and has the figures of each in the rounds that are due (every %i)',
    (every) => {
      for (let seed = 0; seed < 10; seed++) {
        const { state, trained, measured } = measuredRun(every, seed, (round) => 1 + round);
        const rounds = (trained[0] ?? []).map(({ round }) => round);
        expect(rounds.length).toBeGreaterThan(0);
        const makerOf = (round: number) => rounds.findLast((made) => made <= round) ?? -1;
        expect(new Set(measured.map(makerOf)).size).toBe(measured.length);
        for (const { round, kept, evaluation, adapterSha256, note } of state.history) {
          const made = makerOf(round);
          expect(kept).toBe(made !== round);
          if (kept) expect(note).toMatch(/not drawn/);
          expect(adapterSha256).toBe((made < 0 ? ref('start') : ref(`made-${made}`)).sha256);
          const due = (round + 1) % every === 0 || round === ROUNDS - 1;
          expect(evaluation !== null).toBe(due);
          if (!evaluation) continue;
          const when = measured.find((one) => makerOf(one) === made);
          expect(evaluation).toEqual(made < 0 ? BASELINE : figures(1 + (when ?? Number.NaN)));
        }
      }
    },
  );

  it('keeps a model whose loss turns out not to be finite in a round that passes, without another attempt', () => {
    const { state, measured } = measuredRun(7, 1, () => Number.NaN);
    expect(state.phase).toBe('finished');
    const passed = state.history.filter(({ round, sampled }) => sampled.length === 0 && measured.includes(round));
    expect(passed.length).toBeGreaterThan(0);
    for (const { attempt, evaluation, note } of passed) {
      expect([attempt, evaluation]).toEqual([0, null]);
      expect(note).toMatch(/held-out loss .* not finite/);
    }
  });

  it('is drawn as at first when the round is tried again, and passes nothing while the run is paused', () => {
    const failing = { rounds: 6, evaluationId: 'held-out', algorithm: alone(0), participants: { perRound: 1 } };
    const { state, trained } = play(failing, 3, () => Number.NaN);
    const rounds = trained[0]?.map(({ round }) => round) ?? [];
    expect(rounds.length).toBeGreaterThan(1);
    expect(rounds).toEqual([...new Set(rounds)].flatMap((round) => [round, round]));
    expect(state.history.map(({ round }) => round)).toEqual([0, 1, 2, 3, 4, 5]);
    const paused = play(
      failing,
      3,
      () => 1,
      ({ type }) => (type === 'started' ? ['paused'] : []),
    );
    expect([paused.state.phase, paused.state.round, paused.state.current]).toEqual(['paused', 0, null]);
    const resumed = reduce(paused.state, { type: 'resumed', atMs: 0 });
    expect(resumed.state.phase).toBe('running');
    expect(resumed.state.round).toBe(rounds[0]);
  });
});
