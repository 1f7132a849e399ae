import type { HeldOutMetrics, RunConfig } from '@cotune/fl-core';
import { createTrainer, type Gpu, loadModel, type Model, type Trainer, withReferenceAdapter } from '@cotune/kernels';
import { openNodeGpu } from '@cotune/kernels/node';
import type { Log } from '../log.ts';
import type { HeldOutCatalog } from './held-out.ts';
import { type HeldOutSet, measure } from './measure.ts';
import type { ModelCatalog } from './model-catalog.ts';

/** The coordinator's own engine: measures adapters on held-out data. */
export interface Evaluator {
  /**
   * Held-out metrics of the run's task; see `measure`. Evaluations run one after another; the GPU is opened and the model
   * loaded for the first one. A diverged adapter's loss may be NaN.
   * Throws GpuError where there is no WebGPU.
   */
  evaluate(job: EvaluationJob): Promise<HeldOutMetrics>;
  close(): Promise<void>;
}

export interface EvaluationJob {
  readonly config: RunConfig;
  readonly evaluationId: string;
  readonly vector: Float32Array;
  /** The adapter of DPO's reference model; null where that is the base model alone. */
  readonly reference: { readonly sha256: string; readonly vector: Float32Array } | null;
}

interface Bench {
  readonly key: string;
  readonly trainer: Trainer;
  readonly set: HeldOutSet;
}

export function createEvaluator(options: { models: ModelCatalog; heldOut: HeldOutCatalog; log: Log }): Evaluator {
  const { models, heldOut, log } = options;
  let gpu: Promise<Gpu> | undefined;
  let loaded: { modelId: string; model: Model } | undefined;
  let bench: Bench | undefined;
  let tail: Promise<unknown> = Promise.resolve();

  const openOnce = (): Promise<Gpu> => {
    gpu ??= openNodeGpu({ allowSoftware: true }).then((opened) => {
      log.info({ adapter: opened.adapter.description || opened.adapter.device }, 'evaluator opened its GPU');
      return opened;
    });
    gpu.catch(() => {
      gpu = undefined; // a driver may be installed meanwhile
    });
    return gpu;
  };

  const discard = () => {
    bench?.trainer.destroy();
    bench = undefined;
    loaded?.model.destroy();
    loaded = undefined;
  };

  /** The model, the adapter's programs and the tokenised rows stay until another run needs others. */
  const prepare = async ({ config, evaluationId, reference }: EvaluationJob): Promise<Bench> => {
    const { modelId, lora, task, dpo, template, maxSeqLength } = config;
    const key = JSON.stringify([modelId, lora, task, dpo, template, maxSeqLength, evaluationId, reference?.sha256]);
    if (bench?.key === key) return bench;
    bench?.trainer.destroy();
    bench = undefined;
    const source = await models.open(modelId);
    if (loaded?.modelId !== modelId) {
      discard();
      loaded = { modelId, model: await loadModel(await openOnce(), source) };
    }
    const set = await heldOut.set(evaluationId, source, config);
    const trainer = await createTrainer(loaded.model, lora, { longestRow: maxSeqLength });
    bench = { key, trainer, set: await referencedSet(trainer, set, reference?.vector) };
    return bench;
  };

  const evaluate: Evaluator['evaluate'] = async (job) => {
    try {
      const { trainer, set } = await prepare(job);
      trainer.setAdapter(job.vector);
      return await measure(trainer, set);
    } catch (error) {
      const lost = (error as { code?: string }).code === 'device-lost';
      if (lost) {
        // The next evaluation starts over on a fresh device.
        bench = undefined;
        loaded = undefined;
        gpu = undefined;
      }
      throw error;
    }
  };

  return {
    evaluate(job) {
      const result = tail.then(() => evaluate(job));
      tail = result.catch(() => undefined);
      return result;
    },
    async close() {
      await tail;
      discard();
      const opened = await gpu?.catch(() => undefined);
      opened?.destroy();
      gpu = undefined;
    },
  };
}

/** Pairs with the log-probabilities of a reference that is not the base model alone, asked for once. */
export async function referencedSet(
  trainer: Trainer,
  set: HeldOutSet,
  reference: Float32Array | undefined,
): Promise<HeldOutSet> {
  if (set.task === 'sft' || reference === undefined) return set;
  return { ...set, pairs: await withReferenceAdapter(trainer, set.pairs, reference) };
}
