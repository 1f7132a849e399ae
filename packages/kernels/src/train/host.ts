import type { TuningStore } from '../gpu/autotune.ts';
import type { Gpu } from '../gpu/device.ts';
import type { GpuError } from '../gpu/error.ts';
import type { ModelSource } from '../llama/source.ts';
import { loadModel, type Model } from '../llama/weights.ts';
import type { LoraConfig } from '../lora/layout.ts';
import { prepareGpu } from './prepare-gpu.ts';
import { createTrainer, type Trainer, type TrainerOptions } from './trainer.ts';

/** Holds the one trainer of a piece of work and can make it anew on another device. */
export interface TrainerHost {
  /** The trainer; opened when there is none. */
  trainer(): Promise<Trainer>;
  /** Lets go of what is lost. The next `trainer()` opens GPU, weights and trainer again. */
  reopen(reason: GpuError): Promise<void>;
  destroy(): void;
}

export interface TrainerHostOptions extends TrainerOptions {
  readonly openGpu: () => Promise<Gpu>;
  readonly source: ModelSource;
  readonly lora: LoraConfig;
  /** How the weights are loaded, e.g. with progress. Default: `loadModel`. */
  readonly load?: (gpu: Gpu, source: ModelSource) => Promise<Model>;
  /** Remembers the self-test and the kernels found fastest; without it neither is done. See `prepareGpu`. */
  readonly tuning?: TuningStore;
}

/** Share of the memory that was too much which the next trainer may use. */
const SMALLER = 0.75;

/** After an out-of-memory error the trainer is made with a quarter less memory, hence with smaller micro-batches or plan B. */
export function createTrainerHost({
  openGpu,
  source,
  lora,
  load = loadModel,
  tuning,
  ...options
}: TrainerHostOptions): TrainerHost & { readonly opened: () => Promise<OpenTrainer> } {
  let budgetBytes = options.budgetBytes;
  let opened: Promise<OpenTrainer> | undefined;
  const open = async (): Promise<OpenTrainer> => {
    const gpu = await openGpu();
    try {
      if (tuning) await prepareGpu(gpu, source, tuning);
      const model = await load(gpu, source);
      const trainer = await createTrainer(model, lora, { ...options, ...(budgetBytes ? { budgetBytes } : {}) });
      return { gpu, model, trainer };
    } catch (error) {
      gpu.destroy();
      throw error;
    }
  };
  const close = async (): Promise<OpenTrainer | undefined> => {
    const held = await opened?.catch(() => undefined);
    opened = undefined;
    held?.trainer.destroy();
    held?.model.destroy();
    held?.gpu.destroy();
    return held;
  };
  const ensure = (): Promise<OpenTrainer> => {
    opened ??= open();
    return opened;
  };
  return {
    opened: ensure,
    trainer: async () => (await ensure()).trainer,
    async reopen(reason) {
      const peakBytes = (await opened?.catch(() => undefined))?.gpu.memory.peakBytes;
      if (reason.code === 'out-of-memory' && peakBytes) budgetBytes = Math.floor(peakBytes * SMALLER);
      await close();
    },
    destroy: () => void close(),
  };
}

/** Holds a trainer that others opened: a lost GPU is theirs to handle, and is thrown. */
export function hostOf(trainer: Trainer): TrainerHost {
  return {
    trainer: () => Promise.resolve(trainer),
    reopen: (reason) => Promise.reject(reason),
    destroy: () => trainer.destroy(),
  };
}

/** A trainer with what it stands on. */
export interface OpenTrainer {
  readonly gpu: Gpu;
  readonly model: Model;
  readonly trainer: Trainer;
}
