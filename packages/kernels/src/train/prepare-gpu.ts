import type { TuningStore } from '../gpu/autotune.ts';
import type { Gpu } from '../gpu/device.ts';
import type { LlamaConfig } from '../llama/config.ts';
import { MICRO_BATCH_TOKENS } from '../llama/plan-choice.ts';
import { LORA_TARGETS, targetShape } from '../lora/layout.ts';
import { type MatmulShape, tuneMatmuls } from '../ops/matmul_tune.ts';
import { selfTestOnce } from './self-test.ts';

interface Geometry {
  readonly config: LlamaConfig;
  readonly dtype: 'int8' | 'f32';
}

/**
 * What a device needs once before a model of this geometry trains on it: the self-test, and on hardware the fastest kernel
 * for each of the model's matmuls. `store` remembers both, so that later runs neither wait nor compute in another way.
 * Throws GpuError 'wrong-results'.
 */
export async function prepareGpu(gpu: Gpu, geometry: Geometry, store: TuningStore): Promise<void> {
  // SwiftShader takes ten seconds to compile the kernels of the self-test, and is the same program everywhere.
  if (gpu.adapter.kind !== 'swiftshader') await selfTestOnce(gpu, store);
  await tuneModel(gpu, geometry, store);
}

/** On hardware, the fastest kernel for each matmul of a model of this geometry; on software the fixed table holds. */
export async function tuneModel(gpu: Gpu, { config, dtype }: Geometry, store: TuningStore): Promise<void> {
  const rows = MICRO_BATCH_TOKENS;
  const linears = LORA_TARGETS.map((target) => targetShape(config, target));
  const products = [...linears, { inputs: config.hiddenSize, outputs: config.vocabSize }];
  const shapes = products.flatMap((product): MatmulShape[] => [
    { op: 'forward', dtype, rows, ...product },
    { op: 'backward', dtype, rows, ...product },
  ]);
  await tuneMatmuls(gpu, shapes, store);
}
