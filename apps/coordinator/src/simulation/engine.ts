import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { FlError, type HeldOutMetrics, type LocalTerms, localTerms } from '@cotune/fl-core';
import {
  createTrainerHost,
  GpuError,
  type LoraConfig,
  ModelFileError,
  type ModelSource,
  type TrainerHost,
} from '@cotune/kernels';
import { fileTuningStore } from '@cotune/kernels/node';
import { loadOnGpu, openAdapter, openGpuFor, openModelFiles, parameterCount, weightsIdentity } from '../cli/model.ts';
import { STATE_DIRECTORY } from '../cli/options.ts';
import { UserError } from '../cli/output.ts';
import { assets } from '../demo/assets.ts';
import { referencedSet } from '../evaluator/evaluator.ts';
import { type HeldOutSet, measure } from '../evaluator/measure.ts';
import { type ModelText, openModelText } from '../participant/model-text.ts';
import { encodedStart, type StartAdapter } from '../start-adapter.ts';
import type { ExperimentConfig } from './config.ts';
import { experimentChoices, KERNEL_CHOICES_FILE } from './kernel-choices.ts';

/** The one device of a simulation: model and trainer are loaded once, and serve every client, every cell and every evaluation. */
export interface Engine {
  readonly source: ModelSource;
  readonly text: ModelText;
  readonly lora: LoraConfig;
  readonly host: TrainerHost;
  /** Where the model is, for the adapter's card. */
  readonly modelFrom: string;
  /** Tells the weights from others under the same name. */
  readonly weights: string;
  /** What every cell starts from; null where each makes an adapter from its seed. */
  readonly start: StartAdapter | null;
  /** The GPU; opens it. */
  device(): Promise<string>;
  /** Measures an adapter, the same one once: all cells of a seed begin with one. A lost GPU is opened again. */
  evaluate(vector: Float32Array, set: HeldOutSet): Promise<HeldOutMetrics>;
  close(): void;
}

/** Losses of the GPU at one evaluation before giving up. */
const MAX_LOSSES = 3;

/**
 * Opens model, tokenizer and the adapter to start from; the GPU follows with the first work. `base` is the directory that a
 * relative path starts from. Throws UserError for an adapter that is not of this model and LoRA.
 */
export async function openEngine(
  {
    model,
    dtype,
    adapter,
    run,
    algorithms,
  }: Pick<ExperimentConfig, 'model' | 'dtype' | 'adapter' | 'run' | 'algorithms'>,
  { base, out, software }: { base: string; out: string; software: boolean },
): Promise<Engine> {
  const modelFrom = modelPath(model, base);
  const source = await openModelFiles(modelFrom, dtype);
  const start = adapter === undefined ? null : await openStart(resolve(base, adapter), source, run);
  const reference = run.task === 'dpo' && run.dpo.reference === 'start' ? start?.vector : undefined;
  const host = createTrainerHost({
    openGpu: () => openGpuFor(parameterCount(source), software),
    source,
    lora: run.lora,
    load: loadOnGpu,
    longestRow: Math.min(run.maxSeqLength, source.config.maxPositions),
    task: run.task,
    ...termsOfAll(algorithms),
    tuning: experimentChoices(
      fileTuningStore(join(out, KERNEL_CHOICES_FILE)),
      fileTuningStore(join(STATE_DIRECTORY, 'gpu.json')),
    ),
  });
  let measured: { set: HeldOutSet | undefined; referenced?: HeldOutSet; metrics: Map<string, HeldOutMetrics> } = {
    set: undefined,
    metrics: new Map(),
  };
  return {
    source,
    text: await openModelText(source),
    lora: run.lora,
    host,
    modelFrom,
    weights: await weightsIdentity(modelFrom, source),
    start,
    async device() {
      const { adapter } = (await host.opened()).gpu;
      return adapter.description || adapter.device;
    },
    async evaluate(vector, set) {
      const key = sha256Of(vector);
      if (measured.set !== set) measured = { set, metrics: new Map() };
      const known = measured.metrics.get(key);
      if (known) return known;
      for (let losses = 1; ; losses++) {
        try {
          const trainer = await host.trainer();
          measured.referenced ??= await referencedSet(trainer, set, reference);
          trainer.setAdapter(vector);
          const metrics = await measure(trainer, measured.referenced);
          measured.metrics.set(key, metrics);
          return metrics;
        } catch (error) {
          const lost = error instanceof GpuError && (error.code === 'device-lost' || error.code === 'out-of-memory');
          if (!lost || losses >= MAX_LOSSES) throw error;
          await host.reopen(error);
        }
      }
    },
    close: () => host.destroy(),
  };
}

/** 'demo', a path relative to the configuration, or what the model loader understands as it is: an address, a hub id. */
function modelPath(model: string, base: string): string {
  if (model === 'demo') return assets.demoModel();
  const path = resolve(base, model);
  return existsSync(path) ? path : model;
}

/** One trainer serves all cells: it leaves room for what any of them holds. */
function termsOfAll(algorithms: ExperimentConfig['algorithms']): LocalTerms {
  const terms = algorithms.map(localTerms);
  return { proximal: terms.some(({ proximal }) => proximal), drift: terms.some(({ drift }) => drift) };
}

async function openStart(
  path: string,
  source: ModelSource,
  run: Pick<ExperimentConfig['run'], 'lora'>,
): Promise<StartAdapter> {
  try {
    return encodedStart(await openAdapter(path.endsWith('.safetensors') ? dirname(path) : path, source), run);
  } catch (error) {
    const misfit = error instanceof FlError || error instanceof ModelFileError;
    throw misfit ? new UserError(`adapter: ${path}: ${error.message}`) : error;
  }
}

const sha256Of = ({ buffer, byteOffset, byteLength }: Float32Array): string =>
  createHash('sha256')
    .update(new Uint8Array(buffer, byteOffset, byteLength))
    .digest('hex');
