import { GpuError } from '../gpu/error.ts';
import { createReadback } from '../gpu/readback.ts';
import { ModelError } from '../llama/error.ts';
import { SNAPSHOT_VECTORS } from '../llama/plan-adapter.ts';
import type { Model } from '../llama/weights.ts';
import { type FlatVector, largestBuffer, writeVector } from '../lora/flat-vector.ts';
import { type AdapterLayout, adapterLayout, type LoraConfig } from '../lora/layout.ts';
import { createVectorReader, readerElements, type VectorReader } from '../lora/vector-reader.ts';
import { checkExamples, labelCount, type PaddedBatch, type TokenizedExample } from './batch.ts';
import { createPairTraining, type PairTraining } from './dpo.ts';
import {
  checkProbes,
  type EvaluateOptions,
  type Evaluation,
  evaluateExamples,
  type ScoredExample,
  type SequenceScore,
  scoreExamples,
} from './evaluate.ts';
import { createOptimizer, type Optimizer, type OptimizerState, type StepOptions } from './optimizer.ts';
import { packBatch } from './pack.ts';
import { createPrograms } from './programs.ts';
import { type ComputeOptions, computeSettings } from './settings.ts';

export interface TrainerOptions extends ComputeOptions {
  /** The most that one buffer of the adapter, its gradient or its moments takes. Default: what the device binds. */
  readonly adapterBufferBytes?: number;
}

export interface StepResult {
  /** Mean over the label tokens of the batch, before the update. */
  readonly lossNats: number;
  /** Euclidean norm of the adapter's gradient, after the affine correction and before clipping. */
  readonly gradNorm: number;
  readonly labelTokens: number;
  /** Tokens that went through the model, padding left out. */
  readonly tokens: number;
}

/** What training left, from which it goes on as if it had never stopped. */
export interface TrainerSnapshot {
  readonly adapter: Float32Array<ArrayBuffer>;
  readonly optimizer: OptimizerState;
}

/** Trains one LoRA adapter on one model. Promised calls queue up behind each other; the setters act at once. */
export interface Trainer extends PairTraining {
  readonly layout: AdapterLayout;
  /** GPU memory besides the model's weights, so far. */
  readonly bytes: number;
  setAdapter(vector: Float32Array): void;
  adapter(): Promise<Float32Array<ArrayBuffer>>;
  /** One optimiser step on the whole batch. Throws ModelError 'bad-labels', 'bad-token' or 'too-long'. */
  step(batch: readonly TokenizedExample[], options: StepOptions): Promise<StepResult>;
  /** The gradient of the batch's mean loss, without an update, correction or dropout seed of its own. */
  gradients(batch: readonly TokenizedExample[]): Promise<Float32Array<ArrayBuffer>>;
  /** Forgets AdamW's moments and step count. */
  resetOptimizer(): void;
  /** Adapter and optimiser in one read-back, enough to go on from. */
  snapshot(): Promise<TrainerSnapshot>;
  setOptimizerState(state: OptimizerState): void;
  /** Sets w₀ of the proximal term. */
  setReference(vector: Float32Array): void;
  /** Sets the drift d added by every step, or none. */
  setDrift(vector: Float32Array | null): void;
  evaluate(examples: readonly TokenizedExample[], options?: EvaluateOptions): Promise<Evaluation>;
  /** What the adapted model gives each example's labels, in the given order, without dropout: log-likelihoods to compare. */
  sequenceScores(examples: readonly ScoredExample[], options?: EvaluateOptions): Promise<SequenceScore[]>;
  /** Releases everything, once the call that is under way is done; those queued behind it throw GpuError 'validation'. */
  destroy(): void;
}

/** Allocates adapter, gradient and moments for `lora` on `model`; activations follow with the first batch. */
export async function createTrainer(model: Model, lora: LoraConfig, options: TrainerOptions = {}): Promise<Trainer> {
  const { gpu, config } = model;
  const layout = adapterLayout(config, lora);
  const optimizer = createOptimizer(gpu, layout, options.adapterBufferBytes ?? largestBuffer(gpu.device));
  const { vector, gradient, step } = optimizer;
  const settings = computeSettings(model, layout, options);
  const programs = createPrograms(model, { layout, vector, gradient }, step, settings);
  const readback = createReadback(gpu, 1024);
  const { queued, requireOpen, close } = createQueue(() => readback.reset());
  const reader = createVectorReader(gpu, readerElements(layout.length, SNAPSHOT_VECTORS.length));
  const readVector = async (wanted: FlatVector) => (await reader.read([wanted]))[0] as Float32Array<ArrayBuffer>; // one each
  const state = stateAccess(model, optimizer, reader, { queued, requireOpen });
  const upload = (target: FlatVector, values: Float32Array, what: string) => {
    requireOpen();
    checkVector(values, layout.length, what);
    writeVector(gpu.device, target, values);
  };
  /** Accumulates the batch's gradient and queues the read-back of its losses, one micro-batch after the other. */
  const accumulate = async (batch: readonly TokenizedExample[], stepOptions: StepOptions): Promise<PaddedBatch[]> => {
    checkExamples(batch, config);
    const labelTokens = batch.reduce((sum, example) => sum + labelCount(example), 0);
    if (labelTokens === 0)
      throw new ModelError('bad-labels', `a batch of ${batch.length} examples has no labelled token to learn`);
    const micros = packBatch(batch, settings);
    optimizer.clearGradient();
    for (const [i, micro] of micros.entries()) {
      optimizer.writeStep(stepOptions, { labelTokens }, i);
      const acts = await programs.run('train', micro);
      readback.copy(acts.loss, micro.labelTokens);
    }
    return micros;
  };
  await gpu.idle();
  return {
    layout,
    get bytes() {
      return optimizer.bytes + programs.bytes;
    },
    setAdapter: (values) => upload(vector, values, 'adapter'),
    adapter: () => queued(() => readVector(vector)),
    step: (batch, stepOptions) =>
      queued(async () => {
        const padded = await accumulate(batch, stepOptions);
        await optimizer.update(stepOptions);
        readback.copy(optimizer.sumSquares, 1);
        return stepResult(new Float32Array(await readback.read()), padded);
      }),
    gradients: (batch) =>
      queued(async () => {
        await accumulate(batch, { learningRate: 0 });
        await readback.read();
        return readVector(gradient);
      }),
    ...createPairTraining({ gpu, config, programs, readback, readVector, optimizer, pack: settings, queued }),
    ...state,
    setReference: (values) => upload(optimizer.reference, values, 'reference adapter'),
    setDrift(values) {
      optimizer.hasDrift = values !== null;
      if (values) upload(optimizer.drift, values, 'drift');
    },
    evaluate: (examples, evaluateOptions = {}) =>
      queued(() => {
        checkExamples(examples, config);
        return evaluateExamples({ ...settings, programs, readback }, examples, evaluateOptions);
      }),
    sequenceScores: (examples, evaluateOptions = {}) =>
      queued(() => {
        checkExamples(examples, config);
        checkProbes(examples, config);
        return scoreExamples({ ...settings, programs, readback }, examples, evaluateOptions);
      }),
    destroy: () =>
      close(() => {
        programs.destroy();
        optimizer.destroy();
        readback.destroy();
        reader.destroy();
      }),
  };
}

/** `values`: the losses of every micro-batch one behind the other, then Σ g². */
function stepResult(values: Float32Array, padded: readonly PaddedBatch[]): StepResult {
  const labelTokens = values.length - 1;
  let loss = 0;
  for (let i = 0; i < labelTokens; i++) loss += values[i] ?? 0;
  const tokens = padded.reduce((sum, batch) => sum + batch.tokens, 0);
  return { lossNats: loss / labelTokens, gradNorm: Math.sqrt(values[labelTokens] ?? 0), labelTokens, tokens };
}

type Queue = <T>(work: () => Promise<T>) => Promise<T>;

interface WorkQueue {
  readonly queued: Queue;
  /** Throws GpuError 'validation' once it is closed. */
  requireOpen(): void;
  close(release: () => void): void;
}

/**
 * One piece of work at a time; `prepare` runs before each, whether or not the one before it failed. `close` refuses what has
 * not begun and then releases: a buffer that went while work is under way would be an error of the whole device.
 */
function createQueue(prepare: () => void): WorkQueue {
  let last: Promise<unknown> = Promise.resolve();
  let running = false;
  let closed = false;
  const requireOpen = (): void => {
    if (closed) throw new GpuError('validation', 'the trainer was destroyed before this was done: make a new one');
  };
  const queued: Queue = (work) => {
    const result = last.then(async () => {
      requireOpen();
      running = true;
      try {
        prepare();
        return await work();
      } finally {
        running = false;
      }
    });
    last = result.catch(() => undefined);
    return result;
  };
  const close = (release: () => void): void => {
    if (closed) return;
    closed = true;
    if (running) void last.then(release);
    else release();
  };
  return { queued, requireOpen, close };
}

function stateAccess(
  { gpu }: Model,
  optimizer: Optimizer,
  reader: VectorReader,
  { queued, requireOpen }: Pick<WorkQueue, 'queued' | 'requireOpen'>,
) {
  const { length } = optimizer.vector;
  const setOptimizerState = ({ m, v, t }: OptimizerState): void => {
    requireOpen();
    checkVector(m, length, 'AdamW m');
    checkVector(v, length, 'AdamW v');
    writeVector(gpu.device, optimizer.m, m);
    writeVector(gpu.device, optimizer.v, v);
    optimizer.t = t;
  };
  return {
    setOptimizerState,
    resetOptimizer: () => setOptimizerState({ m: new Float32Array(length), v: new Float32Array(length), t: 0 }),
    snapshot: () =>
      queued(async () => {
        const vectors = await reader.read(SNAPSHOT_VECTORS.map((id) => optimizer[id]));
        const [adapter, m, v] = vectors as [Float32Array<ArrayBuffer>, Float32Array, Float32Array]; // in their order
        return { adapter, optimizer: { m, v, t: optimizer.t } };
      }),
  };
}

/** Throws ModelError 'bad-adapter' unless the vector has `length` finite elements. */
function checkVector(values: Float32Array, length: number, what: string): void {
  if (values.length !== length) {
    throw new ModelError(
      'bad-adapter',
      `${what}: got ${values.length} elements, expected ${length}: is it for another model or rank?`,
    );
  }
  const at = values.findIndex((value) => !Number.isFinite(value));
  if (at >= 0) throw new ModelError('bad-adapter', `${what}: element ${at} is ${values[at]}, expected a finite number`);
}
