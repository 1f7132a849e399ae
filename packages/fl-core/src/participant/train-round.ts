import type { Algorithm } from '../algorithms/algorithm.ts';
import { decodeAlgorithmState, encodeAlgorithmState } from '../algorithms/state-codec.ts';
import { FlError } from '../error.ts';
import { decodeVector, encodeVector, sha256Hex, type VectorDtype } from '../protocol/codec.ts';
import type { RoundOffer } from '../protocol/schema.ts';
import { allFinite, subtract } from '../vector.ts';
import { exampleOrder } from './order.ts';
import type { LocalTrainer, ParticipantStorage, ParticipantTransport } from './participant.ts';
import { type PendingUpdate, stateKey } from './pending.ts';
import { type Patience, persistently } from './retry.ts';

/** Downloads that do not match their hash before giving up. */
const DOWNLOADS = 3;

/** The global adapter's blob, checked. FlError `wrong-hash` when it arrives damaged three times. */
export async function downloadAdapter(
  offer: RoundOffer,
  transport: ParticipantTransport,
  patience: Patience,
  onProgress: (receivedBytes: number) => void,
): Promise<Float32Array> {
  let got = '';
  for (let i = 0; i < DOWNLOADS; i++) {
    const bytes = await persistently(patience, () => transport.download(offer.adapter.url, onProgress));
    got = sha256Hex(bytes);
    if (got === offer.adapter.sha256) return decodeVector(bytes).vector;
  }
  throw new FlError('wrong-hash', `adapter ${offer.adapter.url}: got sha256 ${got}, expected ${offer.adapter.sha256}`);
}

export interface TrainJob {
  readonly offer: RoundOffer;
  readonly start: Float32Array;
  readonly examples: number;
  readonly dtype: VectorDtype;
  readonly algorithm: Algorithm;
  readonly trainer: LocalTrainer;
  readonly storage: ParticipantStorage;
  readonly now: () => number;
  /** Aborted to stop early, keeping what was trained. */
  readonly signal: AbortSignal;
  onStep(record: { step: number; lossNats: number; tokensPerSecond: number }): void;
}

/**
 * Trains a round and encodes its delta; null when stopped before the first step.
 * FlError `not-finite` when training diverged, `wrong-shape` when the trainer returns another length.
 */
export async function trainRound(job: TrainJob): Promise<PendingUpdate | null> {
  const { offer, start, examples, algorithm, storage } = job;
  const { plan } = offer;
  const saved = await storage.get(stateKey(offer.runId));
  const clientState = saved === undefined ? algorithm.initialClientState(start.length) : decodeAlgorithmState(saved);
  const { hyper } = plan.algorithm;
  const startedAtMs = job.now();
  const losses: number[] = [];
  const trained = await job.trainer.train({
    weights: start,
    order: exampleOrder({ examples, count: plan.steps * plan.batchSize, seed: plan.seed }),
    steps: plan.steps,
    batchSize: plan.batchSize,
    learningRate: plan.learningRate,
    clipNorm: plan.clipNorm,
    weightDecay: plan.weightDecay,
    seed: plan.seed,
    rule: algorithm.localRule(hyper, clientState, {}),
    signal: job.signal,
    onStep: (record) => {
      losses.push(record.lossNats);
      job.onStep(record);
    },
  });
  const steps = losses.length;
  if (steps === 0) return null;
  const delta = subtract(trained, start);
  if (!allFinite(delta)) {
    throw new FlError(
      'not-finite',
      `training diverged: after ${steps} steps a weight is not finite; lower the learning rate`,
    );
  }
  const meanLoss = losses.reduce((sum, loss) => sum + loss, 0) / steps;
  const nextState = algorithm.clientStep?.({
    hyper,
    clientState,
    shared: {},
    start,
    trained,
    steps,
    learningRate: plan.learningRate,
  });
  const bytes = encodeVector(delta, { dtype: job.dtype, round: offer.round });
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
        trainingMs: Math.max(0, Math.round(job.now() - startedAtMs)),
      },
    },
    adapterSha256: offer.adapter.sha256,
    bytes,
    clientState: nextState === undefined ? new Uint8Array(0) : encodeAlgorithmState(nextState.state),
  };
}
