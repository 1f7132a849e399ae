import { GpuError } from '../gpu/error.ts';
import { ModelError } from '../llama/error.ts';
import { sha256Hex } from '../quantize/sha256.ts';
import type { TokenizedExample } from './batch.ts';
import { type Checkpoint, type CheckpointStore, createCheckpointWriter, decodeCheckpoint } from './checkpoint.ts';
import type { PairProgress, PreferencePair } from './dpo.ts';
import { withReference } from './dpo-reference.ts';
import { type PairStepRecord, type TrainPairsOptions, trainPairs } from './dpo-train.ts';
import type { TrainerHost } from './host.ts';
import { bytesOf, createJob } from './job.ts';
import type { OptimizerState } from './optimizer.ts';
import { type StepRecord, type TrainOptions, train } from './train.ts';
import type { Trainer, TrainerSnapshot } from './trainer.ts';

/** Where training starts and what it goes over. */
export interface Course {
  /** The first adapter, and w₀ of the proximal term. */
  readonly weights: Float32Array;
  /** Indices of the rows, in the order in which the steps take them. */
  readonly order: readonly number[];
  /** Added by every step; see StepOptions.driftTarget. */
  readonly drift?: Float32Array | undefined;
  /** AdamW's state to go on from, as an earlier call left it. Default: fresh, zero moments at step 0. */
  readonly optimizer?: OptimizerState | undefined;
}

export interface Resumption {
  /** Where the last checkpoint lives beyond this process; without it only a lost GPU is survived. */
  readonly store?: CheckpointStore | undefined;
  /** What else decides the result, e.g. the model's name and the trainer's options: a checkpoint made under another is not gone on from. */
  readonly context?: string;
  /**
   * `store` holds the checkpoint of other work, or of more steps than are asked for, `step` steps in: the next step of this
   * work takes its place, unless this throws.
   */
  readonly onOther?: (step: number) => void;
  /** Steps of an earlier process were found; `onStep` is then called for each of them first. */
  readonly onResumed?: (step: number) => void;
  /** The GPU was lost, or ran out of memory, and was opened again; training goes on from `step`. */
  readonly onRecovered?: (reason: GpuError, step: number) => void;
  /** A checkpoint could not be written (disk full); training goes on. */
  readonly onStoreError?: (error: unknown) => void;
}

export type ResumableOptions = TrainOptions & Course & Resumption;

export interface ResumablePairsOptions extends TrainPairsOptions, Course, Resumption {
  /** DPO's reference model is the base with this adapter (length). Default: the base alone. */
  readonly referenceAdapter?: Float32Array | undefined;
  /** How far the reference model is with the pairs that it is asked about beforehand. */
  readonly onReference?: PairProgress['onProgress'];
}

/**
 * Trains from given weights, with fresh AdamW moments or those given, whatever the trainer did before, and survives a lost
 * GPU and an ended process: after every step adapter, moments and step are kept, here and in `store`, and training goes on
 * from there with the same rows and dropout masks, so that it ends with the bits of an undisturbed run. The same call after
 * a restart finds its checkpoint by a fingerprint of all that decided it, and so does one for more steps.
 * The checkpoint stays until the caller, who has the result safe, deletes it. Returns the trained vector and AdamW's state,
 * after an abort those reached so far. Throws RangeError for an index without a row, as `train`, ModelError 'bad-adapter' for
 * a vector of another length, and GpuError when the GPU fails three times at one step.
 */
export async function trainResumably(
  host: TrainerHost,
  examples: readonly TokenizedExample[],
  options: ResumableOptions,
): Promise<TrainerSnapshot> {
  const rows = inOrder(examples, options.order);
  const { signal: _signal, ...settings } = options;
  const sequences = rows.map((row) => [row]);
  return resume<StepRecord>(host, options, sequences, {
    take: (trainer, step, onStep) => train(trainer, rows, { ...settings, startStep: step, steps: step + 1, onStep }),
  });
}

/**
 * The same for preference pairs; see `trainPairs`. Where `order` meets a pair more than once, the base model is asked about all
 * of them once, before the first step to be taken: it never changes, and is a third of a step's work. A reference with an
 * adapter of its own is always asked so.
 */
export async function trainPairsResumably(
  host: TrainerHost,
  pairs: readonly PreferencePair[],
  options: ResumablePairsOptions,
): Promise<TrainerSnapshot> {
  const rows = inOrder(pairs, options.order);
  const sequences = rows.map(({ chosen, rejected }) => [chosen, rejected]);
  const known = rows.some((row) => row.reference) ? rows.map((row) => row.reference) : null;
  const { signal: _signal, ...settings } = options;
  const { referenceAdapter: adapter, onReference: onProgress } = options;
  const referenceId = adapter && (await sha256Hex(new Uint8Array(bytesOf(adapter))));
  const context = JSON.stringify([options.context, known, ...(referenceId === undefined ? [] : [referenceId])]);
  let prepared: readonly PreferencePair[] | undefined; // outlives a lost GPU
  return resume<PairStepRecord>(host, { ...options, context }, sequences, {
    async prepare(trainer) {
      prepared ??= await withReference(trainer, pairs, options.order, { adapter, onProgress });
    },
    take: (trainer, step, onStep) =>
      trainPairs(trainer, prepared ?? rows, { ...settings, startStep: step, steps: step + 1, onStep }),
  });
}

/** Losses of the GPU in a row, with no step between them, before giving up. */
const MAX_LOSSES = 3;

type Outer<Record> = Course &
  Pick<TrainOptions, 'mu' | 'steps' | 'startStep' | 'batchSize' | 'signal'> &
  Resumption & { readonly onStep?: (record: Record) => void };

/** What a task does on a trainer. */
interface Work<Record> {
  /** Comes before the first step on every trainer, as long as there is a step to take. */
  prepare?(trainer: Trainer): Promise<void>;
  /** Takes one step, which once begun is always finished. */
  take(trainer: Trainer, step: number, onStep: (record: Record) => void): Promise<unknown>;
}

/** The loop of both tasks. */
async function resume<Record>(
  host: TrainerHost,
  options: Outer<Record>,
  sequences: readonly (readonly TokenizedExample[])[],
  work: Work<Record>,
): Promise<TrainerSnapshot> {
  const { store, onOther, onResumed, onRecovered, onStoreError, onStep, signal, steps } = options;
  const job = createJob(sequences, options);
  const writer = createCheckpointWriter(store, onStoreError ?? (() => undefined));
  const bytes = await store?.get();
  const stored = bytes && (await decodeCheckpoint<Record>(bytes));
  const ours = stored && stored.step <= steps && stored.job === (await job.at(stored.step));
  if (stored && !ours) onOther?.(stored.step);
  let point = ours ? stored : start<Record>(await job.at(options.startStep ?? 0), options);
  if (point.step > 0) onResumed?.(point.step);
  for (const record of point.records) onStep?.(record);
  /** One step and what it left behind. A step whose outcome could not be read counts as not taken. */
  const next = async (trainer: Trainer): Promise<Checkpoint<Record>> => {
    const records: Record[] = [];
    const { step } = point;
    await work.take(trainer, step, (record) => void records.push(record));
    const { adapter, optimizer } = await trainer.snapshot();
    requireFinite(adapter, step);
    for (const record of records) onStep?.(record);
    return { job: await job.at(step + 1), step: step + 1, adapter, optimizer, records: [...point.records, ...records] };
  };
  let losses = 0;
  for (;;) {
    try {
      const trainer = await host.trainer();
      if (point.step < steps && !signal?.aborted) await work.prepare?.(trainer);
      restore(trainer, point, options);
      while (point.step < steps && !signal?.aborted) {
        point = await next(trainer);
        losses = 0;
        writer.offer(point);
      }
      await writer.flush();
      return { adapter: new Float32Array(point.adapter), optimizer: point.optimizer };
    } catch (error) {
      if (!isLoss(error) || ++losses >= MAX_LOSSES) {
        await writer.flush(); // what the caller then does to the store is the last that happens to it
        throw error;
      }
      await host.reopen(error);
      onRecovered?.(error, point.step);
    }
  }
}

function isLoss(error: unknown): error is GpuError {
  return error instanceof GpuError && (error.code === 'device-lost' || error.code === 'out-of-memory');
}

/** An update that left no numbers behind would show only in the loss of the next step, if there is one. */
function requireFinite(adapter: Float32Array, step: number): void {
  const at = adapter.findIndex((value) => !Number.isFinite(value));
  if (at < 0) return;
  throw new ModelError(
    'diverged',
    `step ${step + 1}: weight ${at} of the adapter became ${adapter[at]}: lower the learning rate`,
  );
}

function start<Record>(job: string, { weights, optimizer, startStep = 0 }: Outer<Record>): Checkpoint<Record> {
  const zeros = () => new Float32Array(weights.length);
  return {
    job,
    step: startStep,
    adapter: weights,
    optimizer: optimizer ?? { m: zeros(), v: zeros(), t: 0 },
    records: [],
  };
}

function restore(
  trainer: Trainer,
  point: Checkpoint<unknown>,
  { weights, drift, mu }: Pick<Course & TrainOptions, 'weights' | 'drift' | 'mu'>,
): void {
  trainer.setAdapter(point.adapter);
  trainer.setOptimizerState(point.optimizer);
  if (mu) trainer.setReference(weights); // a vector more of memory, which only the proximal term needs
  trainer.setDrift(drift ?? null);
}

/** The rows as `order` names them. Throws RangeError for an index without a row. */
function inOrder<Row>(rows: readonly Row[], order: readonly number[]): readonly Row[] {
  return order.map((index) => {
    const row = rows[index];
    if (row === undefined) throw new RangeError(`row ${index} of ${rows.length}: the order is for other data`);
    return row;
  });
}
