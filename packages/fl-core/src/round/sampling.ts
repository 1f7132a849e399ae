import { algorithmOf } from '../algorithms/registry.ts';
import type { RunConfig } from '../protocol/schema.ts';
import { createPythonRandom } from '../python-random.ts';
import { createRng } from '../rng.ts';
import type { ParticipantState, RunState } from './state.ts';

/** How long somebody who lost the connection still counts as present: a reload or a coordinator restart fits in it. */
export const RECONNECT_MS = 30_000;

/** Updates that a round needs. */
export function quorumOf(config: RunConfig): number {
  if (!algorithmOf(config.algorithm).exchanges) return 1;
  return Math.min(config.participants.min, config.participants.perRound ?? config.participants.min);
}

/** Participants that may be sampled now, in order of joining: not removed, and connected or away for a moment only. */
export function present(state: RunState, atMs: number): readonly ParticipantState[] {
  const { algorithm } = state.config;
  const sole = algorithmOf(algorithm).soleClient?.(algorithm.hyper);
  return state.participants.filter(
    (participant, ordinal) => isPresent(participant, atMs) && (sole === undefined || sole === ordinal),
  );
}

const isPresent = ({ removed, connected, disconnectedAtMs }: ParticipantState, atMs: number): boolean =>
  !removed && (connected || atMs - (disconnectedAtMs ?? 0) < RECONNECT_MS);

/**
 * Those of the candidates (`present`) who train in a round. Of an algorithm whose only participant trains when it is drawn: that
 * one, if a federation's first attempt at the round draws it of all who are present; nobody otherwise.
 */
export function drawn(
  { config, participants }: RunState,
  candidates: readonly ParticipantState[],
  seed: SampleSeed,
  atMs: number,
): readonly ParticipantState[] {
  const { perRound } = config.participants;
  if (!algorithmOf(config.algorithm).onlyWhenDrawn?.(config.algorithm.hyper)) return sample(candidates, perRound, seed);
  const everyone = participants.filter((participant) => isPresent(participant, atMs));
  const federated = new Set(sample(everyone, perRound, { ...seed, attempt: 0 }));
  return candidates.filter((candidate) => federated.has(candidate));
}

/** What a choice of participants depends on. */
export interface SampleSeed {
  readonly seeding: RunConfig['seeding'];
  readonly runSeed: number;
  readonly round: number;
  readonly attempt: number;
}

/**
 * `count` of the candidates, all when absent or when there are no more, in their given order. With seeding `run` it depends
 * on run seed, round and attempt, so that two runs with one configuration still sample differently when their seeds
 * differ, and a replay samples alike. With `round-only` it is OpenFedLLM's `get_clients_this_round`: Python's
 * `random.seed(round)`, then `random.sample(range(len(candidates)), count)`, sorted; every run samples alike.
 */
export function sample<T>(
  candidates: readonly T[],
  count: number | undefined,
  { seeding, runSeed, round, attempt }: SampleSeed,
): readonly T[] {
  if (count === undefined || count >= candidates.length) return candidates;
  if (seeding === 'round-only') {
    const ordinals = new Set(createPythonRandom(round).sample(candidates.length, count));
    return candidates.filter((_, ordinal) => ordinals.has(ordinal));
  }
  const shuffled = createRng(`${runSeed}/sample/${round}/${attempt}`).shuffle(candidates);
  const chosen = new Set(shuffled.slice(0, count));
  return candidates.filter((candidate) => chosen.has(candidate));
}
