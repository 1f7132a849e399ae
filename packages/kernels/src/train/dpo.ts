import { writeView } from '../gpu/buffers.ts';
import type { Gpu } from '../gpu/device.ts';
import type { Readback } from '../gpu/readback.ts';
import type { LlamaConfig } from '../llama/config.ts';
import { ModelError } from '../llama/error.ts';
import type { FlatVector } from '../lora/flat-vector.ts';
import { OUTCOME, OUTCOME_ELEMENTS } from '../ops/dpo.ts';
import { checkExamples, labelCount, type PaddedBatch, type TokenizedExample, trainedLength } from './batch.ts';
import type { PairBuffers } from './dpo-pass.ts';
import type { Optimizer, StepOptions } from './optimizer.ts';
import { type PackOptions, packBatch } from './pack.ts';
import type { Programs } from './programs.ts';

/** log π(response | prompt) of a pair: sums over the label tokens, nats, ≤ 0. */
export interface PairLogProbs {
  readonly chosenLogProb: number;
  readonly rejectedLogProb: number;
}

/** Two responses to one prompt, of which the first was preferred. The labels of each are its response. */
export interface PreferencePair {
  readonly chosen: TokenizedExample;
  readonly rejected: TokenizedExample;
  /** By the reference model. Default: the base model, with the adapter off, is asked in the same step. */
  readonly reference?: PairLogProbs | undefined;
}

export interface PairOptions {
  /** DPO's β > 0: how strongly the reference model holds the policy. 0.1 is usual. */
  readonly beta: number;
}

/** Means over the pairs. A reward is β·(log π − log π_ref). */
export interface PairMetrics {
  /** −log σ(margin). */
  readonly lossNats: number;
  /** Reward of the chosen response less that of the rejected one. */
  readonly rewardMargin: number;
  /** Share of pairs whose margin is above 0; a tie is no hit. */
  readonly rewardAccuracy: number;
  readonly chosenReward: number;
  readonly rejectedReward: number;
  readonly pairs: number;
}

export interface PairStepResult extends PairMetrics {
  /** Euclidean norm of the adapter's gradient, after the affine correction and before clipping. */
  readonly gradNorm: number;
  /** Tokens of both responses and their prompts that went through the adapted model, padding left out. */
  readonly tokens: number;
}

export interface PairProgress {
  readonly onProgress?: ((progress: { readonly pairs: number; readonly totalPairs: number }) => void) | undefined;
}

/** Direct Preference Optimisation (Rafailov et al. 2023, arXiv 2305.18290) on a trainer's adapter. */
export interface PairTraining {
  /** One optimiser step on the mean loss of the whole batch. Throws ModelError 'bad-labels', 'bad-token' or 'too-long'. */
  stepPairs(batch: readonly PreferencePair[], options: StepOptions & PairOptions): Promise<PairStepResult>;
  /** The gradient of the batch's mean loss, without an update. */
  pairGradients(batch: readonly PreferencePair[], options: PairOptions): Promise<Float32Array<ArrayBuffer>>;
  /** Loss, margins and accuracy without dropout. NaN figures for no pairs. */
  evaluatePairs(pairs: readonly PreferencePair[], options: PairOptions & PairProgress): Promise<PairMetrics>;
  /** What the base model gives, with the adapter off; pass it on as `reference` to spare each step that forward pass. */
  referenceLogProbs(pairs: readonly PreferencePair[], options?: PairProgress): Promise<PairLogProbs[]>;
  /** What the model with this trainer's adapter gives, without dropout: references for training on from there. */
  policyLogProbs(pairs: readonly PreferencePair[], options?: PairProgress): Promise<PairLogProbs[]>;
}

export interface PairEngine {
  readonly gpu: Gpu;
  readonly config: LlamaConfig;
  readonly programs: Programs;
  readonly readback: Readback;
  readonly optimizer: Optimizer;
  readonly pack: PackOptions;
  readVector(vector: FlatVector): Promise<Float32Array<ArrayBuffer>>;
  queued<T>(work: () => Promise<T>): Promise<T>;
}

/** Pairs whose results are read back at a time where nothing else bounds them. */
const EVALUATED_PAIRS = 64;

export function createPairTraining(engine: PairEngine): PairTraining {
  const { gpu, config, programs, readback, optimizer, readVector, queued } = engine;
  const pack = (pairs: readonly PreferencePair[]): PaddedBatch[] =>
    packBatch(
      pairs.flatMap(({ chosen, rejected }) => [chosen, rejected]),
      { ...engine.pack, groupSize: 2 },
    );
  /** Fills the micro-batch's reference log-probabilities: asks the base model where any is not given. */
  const fillReference = async (micro: PaddedBatch, batch: readonly PreferencePair[]): Promise<PairBuffers> => {
    const own = pairsOf(micro).map((index) => batch[index]?.reference);
    const buffers = own.every((given) => given)
      ? programs.pairBuffers(micro)
      : await programs.runPairs('reference', micro);
    own.forEach((given, i) => {
      if (!given) return;
      const { buffer, offset } = buffers.reference;
      const place = { buffer, offset: offset + i * 8, size: 8 };
      writeView(gpu.device, place, Float32Array.of(given.chosenLogProb, given.rejectedLogProb));
    });
    return buffers;
  };
  const accumulate = async (batch: readonly PreferencePair[], options: StepOptions & PairOptions) => {
    checkPairs(batch, config);
    if (batch.length === 0) throw new ModelError('bad-labels', 'a batch of no pairs has nothing to learn');
    checkBeta(options);
    optimizer.clearGradient();
    const micros = pack(batch);
    for (const [i, micro] of micros.entries()) {
      optimizer.writeStep(options, { pairs: batch.length, beta: options.beta }, i);
      await fillReference(micro, batch);
      const { outcome } = await programs.runPairs('train pairs', micro);
      readback.copy(outcome, (micro.examples.length / 2) * OUTCOME_ELEMENTS);
    }
    return micros;
  };
  /** Runs `visit` over pieces of like length, longest first, which pad least. */
  const inPieces = async (
    pairs: readonly PreferencePair[],
    { onProgress }: PairProgress,
    visit: (piece: readonly PreferencePair[], indices: readonly number[]) => Promise<void>,
  ): Promise<void> => {
    checkPairs(pairs, config);
    const order = pairs.map((_, i) => i).toSorted((a, b) => lengthOf(pairs[b]) - lengthOf(pairs[a]));
    for (let start = 0; start < order.length; start += EVALUATED_PAIRS) {
      const indices = order.slice(start, start + EVALUATED_PAIRS);
      const piece = indices.map((index) => pairs[index] as PreferencePair); // indices of pairs
      await visit(piece, indices);
      onProgress?.({ pairs: start + indices.length, totalPairs: pairs.length });
    }
  };
  const logProbs = async (
    kind: 'reference' | 'policy',
    pairs: readonly PreferencePair[],
    options: PairProgress,
  ): Promise<PairLogProbs[]> => {
    const results: PairLogProbs[] = [];
    await inPieces(pairs, options, async (piece, indices) => {
      const places: number[] = [];
      for (const micro of pack(piece)) {
        readback.copy((await programs.runPairs(kind, micro))[kind], micro.examples.length);
        places.push(...pairsOf(micro));
      }
      const values = new Float32Array(await readback.read());
      places.forEach((place, i) => {
        const [chosenLogProb = Number.NaN, rejectedLogProb = Number.NaN] = values.subarray(2 * i);
        results[indices[place] ?? 0] = { chosenLogProb, rejectedLogProb };
      });
    });
    return results;
  };
  return {
    stepPairs: (batch, options) =>
      queued(async () => {
        const micros = await accumulate(batch, options);
        await optimizer.update(options);
        readback.copy(optimizer.sumSquares, 1);
        const values = new Float32Array(await readback.read());
        const tokens = micros.reduce((sum, { tokens: own }) => sum + own, 0);
        return { ...metricsOf(values.subarray(0, -1)), gradNorm: Math.sqrt(values.at(-1) ?? 0), tokens };
      }),
    pairGradients: (batch, options) =>
      queued(async () => {
        await accumulate(batch, { learningRate: 0, ...options });
        await readback.read();
        return readVector(optimizer.gradient);
      }),
    evaluatePairs: (pairs, options) =>
      queued(async () => {
        checkBeta(options);
        const outcomes: number[] = [];
        await inPieces(pairs, options, async (piece) => {
          for (const micro of pack(piece)) {
            optimizer.writeStep({ learningRate: 0 }, { pairs: pairs.length, beta: options.beta }, 0);
            await fillReference(micro, piece);
            const { outcome } = await programs.runPairs('evaluate pairs', micro);
            readback.copy(outcome, (micro.examples.length / 2) * OUTCOME_ELEMENTS);
          }
          for (const value of new Float32Array(await readback.read())) outcomes.push(value);
        });
        return metricsOf(outcomes);
      }),
    referenceLogProbs: (pairs, options = {}) => queued(() => logProbs('reference', pairs, options)),
    policyLogProbs: (pairs, options = {}) => queued(() => logProbs('policy', pairs, options)),
  };
}

/** The micro-batch's pairs, as indices into the batch, in the order of its sequences. */
function pairsOf({ examples }: PaddedBatch): number[] {
  return examples.filter((example) => example % 2 === 0).map((example) => example / 2);
}

function lengthOf(pair: PreferencePair | undefined): number {
  return pair ? Math.max(trainedLength(pair.chosen), trainedLength(pair.rejected)) : 0;
}

function checkBeta({ beta }: PairOptions): void {
  if (!(beta > 0 && Number.isFinite(beta))) throw new RangeError(`beta: got ${beta}, expected a number above 0`);
}

/** Throws ModelError 'bad-labels', 'bad-token' or 'too-long', naming the pair. */
function checkPairs(pairs: readonly PreferencePair[], config: LlamaConfig): void {
  pairs.forEach((pair, i) => {
    for (const side of ['chosen', 'rejected'] as const) {
      checkExamples([pair[side]], config, () => `pair ${i}, ${side}`);
      if (labelCount(pair[side]) === 0)
        throw new ModelError('bad-labels', `pair ${i}: the ${side} response has no labelled token`);
    }
    const { chosenLogProb, rejectedLogProb } = pair.reference ?? { chosenLogProb: 0, rejectedLogProb: 0 };
    if (!Number.isFinite(chosenLogProb) || !Number.isFinite(rejectedLogProb)) {
      throw new ModelError(
        'bad-labels',
        `pair ${i}: reference log-probabilities ${chosenLogProb} and ${rejectedLogProb}, expected finite numbers`,
      );
    }
  });
}

/** Means over outcomes, OUTCOME_ELEMENTS a pair. */
function metricsOf(outcomes: ArrayLike<number>): PairMetrics {
  const pairs = outcomes.length / OUTCOME_ELEMENTS;
  const mean = (column: number): number => {
    let sum = 0;
    for (let i = column; i < outcomes.length; i += OUTCOME_ELEMENTS) sum += outcomes[i] ?? 0;
    return sum / pairs;
  };
  const rewardMargin = mean(OUTCOME.margin);
  const chosenReward = mean(OUTCOME.chosenReward);
  return {
    lossNats: mean(OUTCOME.lossNats),
    rewardMargin,
    rewardAccuracy: mean(OUTCOME.accurate),
    chosenReward,
    rejectedReward: chosenReward - rewardMargin,
    pairs,
  };
}
