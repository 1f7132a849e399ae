import { type BufferView, writeView } from '../gpu/buffers.ts';
import { createProgramBuilder, type Program } from '../gpu/program.ts';
import { type Activations, createActivations } from '../llama/activations.ts';
import { recordBackward } from '../llama/backward.ts';
import { type Pass, recordForward } from '../llama/forward.ts';
import { recordLoss } from '../llama/head.ts';
import type { AdapterBuffers } from '../llama/linear.ts';
import { type BatchShape, type Capacity, fits, largerCapacity, requiredCapacity } from '../llama/plan-capacity.ts';
import { keepOf } from '../llama/plan-tensors.ts';
import type { Model } from '../llama/weights.ts';
import { NO_ROW } from '../ops/gather_rows.ts';
import type { PaddedBatch } from './batch.ts';
import {
  createPairBuffers,
  type PairBuffers,
  type PairPassKind,
  recordedSequences,
  recordPairPass,
} from './dpo-pass.ts';
import type { ComputeSettings } from './settings.ts';

/** 'train' leaves gradients and losses, with dropout; 'evaluate' leaves losses and hits, without. */
export type PassKind = 'train' | 'evaluate';

/** Recorded passes, one per (kind, batch, sequence, label rows), all on one table of activations that only ever grows. */
export interface Programs {
  /** Uploads the batch and submits its pass. Returns the activations, where its losses will stand. */
  run(kind: PassKind, batch: PaddedBatch): Promise<Activations>;
  /** The same for a micro-batch of preference pairs, 2i and 2i + 1 being a pair. Returns where its results will stand. */
  runPairs(kind: PairPassKind, batch: PaddedBatch): Promise<PairBuffers>;
  /** What `runPairs` will work on for this micro-batch. */
  pairBuffers(batch: PaddedBatch): PairBuffers;
  /** GPU memory of the activations. */
  readonly bytes: number;
  destroy(): void;
}

export type ProgramOptions = Pick<ComputeSettings, 'precision' | 'plan' | 'attentionFor' | 'logitChunkBytes'>;

export function createPrograms(
  model: Model,
  adapter: AdapterBuffers,
  step: BufferView,
  { precision, plan, attentionFor, logitChunkBytes }: ProgramOptions,
): Programs {
  const { gpu, config } = model;
  const { config: lora } = adapter.layout;
  const bindingBytes = gpu.device.limits.maxStorageBufferBindingSize;
  const programs = new Map<string, Program>();
  let acts: Activations | undefined;
  let pairs: PairBuffers | undefined;

  const reserve = (wanted: Capacity): Activations => {
    if (acts && fits(wanted, acts.capacity)) return acts;
    const capacity = acts ? largerCapacity(acts.capacity, wanted) : wanted;
    destroy(); // before the new table is made: both at once might not fit
    const options = { lora, keep: keepOf(plan, precision), precision, logitChunkBytes };
    acts = createActivations(gpu, config, capacity, options);
    return acts;
  };
  const destroy = () => {
    for (const program of programs.values()) program.destroy();
    programs.clear();
    acts?.destroy();
    acts = undefined;
    pairs?.destroy();
    pairs = undefined;
  };
  const passOf = (train: boolean, shape: BatchShape, table: Activations): Pass => {
    const b = createProgramBuilder(gpu);
    const dropout = train && lora.dropout > 0 ? { probability: lora.dropout, step } : null;
    const settings = { precision, attention: attentionFor(shape), backwardFollows: train };
    return { b, model, adapter, dropout, acts: table, shape, ...settings };
  };
  const record = (kind: PassKind, shape: BatchShape, table: Activations): Promise<Program> => {
    const train = kind === 'train';
    const pass = passOf(train, shape, table);
    recordForward(pass);
    recordLoss(pass, step, train);
    if (train) recordBackward(pass);
    return pass.b.finish(labelOf(kind, shape));
  };
  const tableFor = ({ shape }: PaddedBatch): Activations =>
    reserve(requiredCapacity(config, shape, { attention: attentionFor(shape), bindingBytes }));
  /** Uploads the batch and submits the program called `name`, which is recorded where this shape has none yet. */
  const submit = async (name: string, batch: PaddedBatch, table: Activations, make: () => Promise<Program>) => {
    const { shape } = batch;
    const key = `${name} ${shape.batch} ${shape.seq} ${shape.labelRows} ${gpu.pace.revision}`;
    const program = programs.get(key) ?? (await make());
    programs.delete(key); // and back in as the latest: the map keeps the order of use
    programs.set(key, program);
    evictOldest(programs);
    for (const field of ['ids', 'positions', 'segments', 'labelIndex', 'labels'] as const) {
      writeView(gpu.device, table[field], batch[field]);
    }
    const labelExample = new Uint32Array(shape.labelRows).fill(NO_ROW);
    labelExample.set(batch.labelExample);
    writeView(gpu.device, table.labelExample, labelExample);
    program.run();
  };
  const pairsFor = (table: Activations): PairBuffers => {
    pairs ??= createPairBuffers(gpu, table.capacity.labelRows); // both go when the table does
    return pairs;
  };
  return {
    async run(kind, batch) {
      const table = tableFor(batch);
      await submit(kind, batch, table, () => record(kind, batch.shape, table));
      return table;
    },
    async runPairs(kind, batch) {
      const table = tableFor(batch);
      const buffers = pairsFor(table);
      const sequences = recordedSequences(batch);
      await submit(`${kind} ${sequences}`, batch, table, () => {
        const pass = passOf(kind === 'train pairs', batch.shape, table);
        const base = kind === 'reference' ? { ...pass, adapter: null } : pass;
        recordPairPass(kind, base, step, buffers, sequences);
        return pass.b.finish(labelOf(kind, batch.shape));
      });
      return buffers;
    },
    pairBuffers: (batch) => pairsFor(tableFor(batch)),
    get bytes() {
      return (acts?.bytes ?? 0) + (pairs?.bytes ?? 0);
    },
    destroy,
  };
}

function labelOf(kind: PassKind | PairPassKind, { batch, seq, labelRows }: BatchShape): string {
  return `${kind} ${batch}×${seq}, ${labelRows} label rows`;
}

/** Shapes kept: a program holds a bind group a dispatch, and data of many lengths would record hundreds. */
const MAX_PROGRAMS = 64;

function evictOldest(programs: Map<string, Program>): void {
  for (const [key, program] of programs) {
    if (programs.size <= MAX_PROGRAMS) return;
    program.destroy();
    programs.delete(key);
  }
}
