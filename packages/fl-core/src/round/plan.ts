import { algorithmOf } from '../algorithms/registry.ts';
import { FlError } from '../error.ts';
import type { BlobRef, RunConfig, TrainPlan } from '../protocol/schema.ts';
import { createRng } from '../rng.ts';
import type { RunState, StoredBlob } from './state.ts';

/** Cosine over rounds: min + ½(max − min)(1 + cos(π t/T)), constant within a round (OpenFedLLM, `cosine_learning_rate`). */
export function cosineLearningRate({
  round,
  rounds,
  max,
  min,
}: {
  round: number;
  rounds: number;
  max: number;
  min: number;
}): number {
  return min + 0.5 * (max - min) * (1 + Math.cos((Math.PI * round) / rounds));
}

/** The learning rate of a round (0-based) of a run, by its schedule. */
export const roundLearningRate = (
  config: Pick<RunConfig, 'rounds' | 'learningRate' | 'learningRateSchedule' | 'minLearningRate'>,
  round: number,
): number =>
  config.learningRateSchedule === 'constant'
    ? config.learningRate
    : cosineLearningRate({ round, rounds: config.rounds, max: config.learningRate, min: config.minLearningRate });

/** Seed of one participant's round (its order of examples and dropout), 32 bits; `ordinal` counts participants in order of joining. */
export function roundSeed(runSeed: number, round: number, ordinal: number, attempt = 0): number {
  return createRng(`${runSeed}/round/${round}/${attempt}/client/${ordinal}`).bits();
}

/**
 * How a participant trains the current round.
 * FlError `not-found` for somebody who never joined, `wrong-state` when no round is in progress.
 */
export function planFor(state: RunState, participantId: string): TrainPlan {
  const { config, current } = state;
  const ordinal = state.participants.findIndex((participant) => participant.participantId === participantId);
  if (ordinal < 0) throw new FlError('not-found', `no participant ${participantId} in run ${state.runId}`);
  if (current === null) throw new FlError('wrong-state', `run ${state.runId} has no round in progress`);
  return {
    steps: config.steps,
    batchSize: config.batchSize,
    learningRate: roundLearningRate(config, current.round),
    clipNorm: config.clipNorm,
    weightDecay: config.weightDecay,
    optimizerState: config.optimizerState,
    seed: roundSeed(config.seed, current.round, ordinal, current.attempt),
    seeding: config.seeding,
    algorithm: config.algorithm,
  };
}

/** sha256 of the participant's last update that went into the model; null while none has. An update of a round that kept the model did not. */
export function countedUpdate({ history }: RunState, participantId: string): string | null {
  for (let i = history.length - 1; i >= 0; i--) {
    const summary = history[i];
    const mine = summary?.kept ? undefined : summary?.received.find((one) => one.participantId === participantId);
    if (mine !== undefined) return mine.sha256;
  }
  return null;
}

/** The server state that participants are given with an offer; null before there is one, and for algorithms that share none. */
export const sharedState = ({ config, algorithmState }: RunState): StoredBlob | null =>
  (algorithmOf(config.algorithm).shares?.length ?? 0) > 0 ? algorithmState : null;

/** The adapter of DPO's reference model; null where that is the base model alone: a new adapter changes nothing of it. */
export function referenceAdapter({ config, firstAdapter }: Pick<RunState, 'config' | 'firstAdapter'>): BlobRef | null {
  const { task, dpo, startAdapter } = config;
  return task === 'dpo' && dpo.reference === 'start' && startAdapter !== undefined ? firstAdapter : null;
}
