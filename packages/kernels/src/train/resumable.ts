import { GpuError } from '../gpu/error.ts';
import { sha256Hex } from '../quantize/sha256.ts';
import type { TokenizedExample } from './batch.ts';
import { type Checkpoint, type CheckpointStore, createCheckpointWriter, decodeCheckpoint } from './checkpoint.ts';
import type { TrainerHost } from './host.ts';
import { type StepRecord, train } from './train.ts';
import { orderedExamples, type TrainFromOptions } from './train-from.ts';
import type { Trainer } from './trainer.ts';

export interface ResumableOptions extends TrainFromOptions {
  /** Where the last checkpoint lives beyond this process; without it only a lost GPU is survived. */
  readonly store?: CheckpointStore | undefined;
  /** Steps of an earlier process were found; `onStep` is then called for each of them first. */
  readonly onResumed?: (step: number) => void;
  /** The GPU was lost, or ran out of memory, and was opened again; training goes on from `step`. */
  readonly onRecovered?: (reason: GpuError, step: number) => void;
  /** A checkpoint could not be written (disk full); training goes on. */
  readonly onStoreError?: (error: unknown) => void;
}

/** Losses of the GPU in a row, with no step between them, before giving up. */
const MAX_LOSSES = 3;

/**
 * `trainFrom` that survives a lost GPU and an ended process: after every step adapter, moments and step are kept, here and
 * in `store`, and training goes on from there with the same rows and dropout masks, so that it ends with the bits of an
 * undisturbed run. The same call after a restart finds its checkpoint by a fingerprint of all that decides the result.
 * The checkpoint stays until the caller, who has the result safe, deletes it. Throws as `trainFrom`, and GpuError when the GPU fails three times at one step.
 */
export async function trainResumably(
  host: TrainerHost,
  examples: readonly TokenizedExample[],
  { store, onResumed, onRecovered, onStoreError, ...options }: ResumableOptions,
): Promise<Float32Array<ArrayBuffer>> {
  const ordered = orderedExamples(examples, options.order);
  const job = await fingerprint(ordered, options);
  const writer = createCheckpointWriter(store, onStoreError ?? (() => undefined));
  const stored = await store?.get();
  let point = (stored && (await decodeCheckpoint(stored, job))) ?? start(job, options);
  if (point.step > 0) onResumed?.(point.step);
  for (const record of point.records) options.onStep?.(record);
  let losses = 0;
  for (;;) {
    try {
      const trainer = await host.trainer();
      restore(trainer, point, options);
      while (point.step < options.steps && !options.signal?.aborted) {
        point = await nextPoint(trainer, ordered, point, options);
        losses = 0;
        writer.offer(point);
      }
      await writer.flush();
      return new Float32Array(point.adapter);
    } catch (error) {
      if (!isLoss(error) || ++losses >= MAX_LOSSES) throw error;
      await host.reopen(error);
      onRecovered?.(error, point.step);
    }
  }
}

function isLoss(error: unknown): error is GpuError {
  return error instanceof GpuError && (error.code === 'device-lost' || error.code === 'out-of-memory');
}

function start(job: string, { weights, startStep = 0 }: TrainFromOptions): Checkpoint {
  const zeros = () => new Float32Array(weights.length);
  return { job, step: startStep, adapter: weights, optimizer: { m: zeros(), v: zeros(), t: 0 }, records: [] };
}

function restore(trainer: Trainer, point: Checkpoint, { weights, drift }: TrainFromOptions): void {
  trainer.setAdapter(point.adapter);
  trainer.setOptimizerState(point.optimizer);
  trainer.setReference(weights);
  trainer.setDrift(drift ?? null);
}

/** One step and what it left behind. A step whose outcome could not be read counts as not taken. */
async function nextPoint(
  trainer: Trainer,
  ordered: readonly TokenizedExample[],
  point: Checkpoint,
  options: TrainFromOptions,
): Promise<Checkpoint> {
  const records: StepRecord[] = [];
  const { step } = point;
  const { signal: _signal, ...untilDone } = options; // the step at hand is always finished
  await train(trainer, ordered, {
    ...untilDone,
    startStep: step,
    steps: step + 1,
    onStep: (record) => void records.push(record),
  });
  const [adapter, optimizer] = [await trainer.adapter(), await trainer.optimizerState()];
  const next = { job: point.job, step: step + 1, adapter, optimizer, records: [...point.records, ...records] };
  for (const record of records) options.onStep?.(record);
  return next;
}

/** SHA-256 of everything that decides the trained bits: data in order, start, drift, and the options by name. */
async function fingerprint(ordered: readonly TokenizedExample[], options: TrainFromOptions): Promise<string> {
  const { weights, drift, order: _order, onStep: _onStep, signal: _signal, ...plain } = options;
  const settings = new TextEncoder().encode(JSON.stringify(Object.entries(plain).sort()));
  const lengths = ordered.map(({ inputIds }) => inputIds.length);
  const tokens = ordered.flatMap(({ inputIds, labels }) => [...inputIds, ...labels]);
  const parts = [settings, bytesOf(weights), bytesOf(drift ?? new Float32Array())];
  for (const values of [lengths, tokens]) parts.push(new Uint8Array(Int32Array.from(values).buffer));
  const digests = await Promise.all(parts.map((part) => sha256Hex(new Uint8Array(part))));
  return sha256Hex(new TextEncoder().encode(digests.join()));
}

function bytesOf(vector: Float32Array): Uint8Array {
  return new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength);
}
