import type { Algorithm, AlgorithmState } from '../algorithms/algorithm.ts';
import { FlError } from '../error.ts';
import { encodeVector, sha256Hex, type VectorDtype } from '../protocol/codec.ts';
import type { Rewards, RoundOffer } from '../protocol/schema.ts';
import { allFinite, subtract } from '../vector.ts';
import type { Start } from './download-start.ts';
import { carriedState, encodeLocalState, keptOptimizer, optimizerToKeep, withExtras } from './local-state.ts';
import { meanRewards } from './mean-rewards.ts';
import { roundOrder } from './order.ts';
import type { LocalTrainer, ParticipantStorage } from './participant.ts';
import type { PendingUpdate } from './pending.ts';
import { readState } from './stored-state.ts';

export interface TrainJob {
  readonly offer: RoundOffer;
  readonly start: Start;
  readonly examples: number;
  readonly dtype: VectorDtype;
  readonly algorithm: Algorithm;
  readonly trainer: LocalTrainer;
  readonly storage: ParticipantStorage;
  readonly now: () => number;
  /** Aborted to stop early, keeping what was trained. */
  readonly signal: AbortSignal;
  onStep(record: {
    step: number;
    lossNats: number;
    tokensPerSecond: number;
    /** Of this step. */
    rewards?: Rewards;
    /** Mean over the steps so far. */
    meanRewards?: Rewards | undefined;
  }): void;
}

/**
 * Trains a round and encodes its delta, with the algorithm's extras behind it; null when stopped before the first step.
 * FlError `not-finite` when training diverged or a value does not fit the run's dtype, `wrong-shape` when the trainer
 * returns another length, `invalid` when the algorithm's client step lacks a vector that its `extras` names, or the trainer
 * the optimiser's state where the run keeps it.
 */
export async function trainRound(job: TrainJob): Promise<PendingUpdate | null> {
  const { offer, examples, algorithm, storage } = job;
  const { weights: start, shared, reference } = job.start;
  const { plan } = offer;
  const { hyper } = plan.algorithm;
  const keeps = plan.optimizerState === 'kept';
  const saved = await readState(storage, offer.runId);
  const clientState = carriedState(algorithm, saved, start.length);
  const optimizer = keeps ? keptOptimizer(saved, offer.counted, start.length) : undefined;
  const startedAtMs = job.now();
  const losses: number[] = [];
  const rewards = meanRewards();
  const trained = await job.trainer.train({
    weights: start,
    order: roundOrder(plan, { examples, round: offer.round }),
    steps: plan.steps,
    batchSize: plan.batchSize,
    learningRate: plan.learningRate,
    clipNorm: plan.clipNorm,
    weightDecay: plan.weightDecay,
    seed: plan.seed,
    rule: algorithm.localRule(hyper, clientState, shared),
    ...(reference && { reference }),
    ...(optimizer && { optimizer }),
    signal: job.signal,
    onStep: (record) => {
      losses.push(record.lossNats);
      rewards.add(record.rewards);
      job.onStep({ ...record, meanRewards: rewards.mean() });
    },
  });
  const steps = losses.length;
  if (steps === 0) return null;
  const { learningRate } = plan;
  const { update, state } = clientHalf(algorithm, {
    hyper,
    clientState,
    shared,
    start,
    trained: trained.weights,
    steps,
    learningRate,
  });
  const bytes = encodeVector(update, { dtype: job.dtype, round: offer.round });
  const meanLoss = losses.reduce((sum, loss) => sum + loss, 0) / steps;
  const trainingMs = Math.max(0, Math.round(job.now() - startedAtMs));
  const mean = rewards.mean();
  return {
    open: {
      runId: offer.runId,
      round: offer.round,
      attempt: offer.attempt,
      bytes: bytes.length,
      sha256: sha256Hex(bytes),
      dtype: job.dtype,
      examples,
      metrics: {
        lossNats: Number.isFinite(meanLoss) ? meanLoss : null,
        steps,
        trainingMs,
        ...(mean === undefined ? {} : { rewards: mean }),
      },
    },
    adapterSha256: offer.adapter.sha256,
    bytes,
    clientState: encodeLocalState(state, keeps ? optimizerToKeep(trained.optimizer, start.length) : undefined),
  };
}

/** What is sent and what is carried on of the algorithm, undefined where nothing changes. */
function clientHalf(
  algorithm: Algorithm,
  input: Parameters<NonNullable<Algorithm['clientStep']>>[0],
): { readonly update: Float32Array; readonly state: AlgorithmState | undefined } {
  const { trained, start, steps, learningRate } = input;
  const delta = subtract(trained, start);
  if (!allFinite(delta)) {
    throw new FlError(
      'not-finite',
      `training diverged: after ${steps} steps a weight is not finite; lower the learning rate`,
    );
  }
  const next = algorithm.clientStep?.(input);
  const update = withExtras(algorithm, delta, next);
  if (!allFinite(update)) {
    throw new FlError(
      'not-finite',
      `algorithm ${algorithm.id}: a vector that goes with the update is not finite after ${steps} steps at learning rate ${learningRate}`,
    );
  }
  return { update, state: next?.state };
}
