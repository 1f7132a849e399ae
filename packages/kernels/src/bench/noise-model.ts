import { createArena } from '../gpu/buffers.ts';
import type { Gpu } from '../gpu/device.ts';
import { createProgramBuilder } from '../gpu/program.ts';
import type { LlamaConfig } from '../llama/config.ts';
import type { LayerWeights, Model } from '../llama/weights.ts';
import { LORA_TARGETS, type LoraTarget, targetShape } from '../lora/layout.ts';
import type { Matrix } from '../ops/matrix.ts';
import { ropeInverseFrequencies } from '../ops/rope.ts';
import { createNoise } from './fill.ts';

/**
 * A model of noise, made on the GPU: as fast and as large as a real one, without its download and without passing through
 * JavaScript. Throws GpuError 'out-of-memory' when the adapter cannot hold it.
 */
export async function noiseModel(gpu: Gpu, config: LlamaConfig, dtype: 'int8' | 'f32' = 'int8'): Promise<Model> {
  const arena = createArena(gpu.device);
  try {
    const b = createProgramBuilder(gpu);
    const noise = createNoise(b, arena);
    const { hiddenSize, vocabSize } = config;
    const norm = (label: string) => noise.floats(label, hiddenSize, 0.1, 1);
    const layer = (index: number): LayerWeights => {
      const linears = LORA_TARGETS.map((target): [LoraTarget, Matrix] => {
        const { inputs, outputs } = targetShape(config, target);
        return [target, noise.matrix(`layer ${index} ${target}`, dtype, outputs, inputs)];
      });
      return {
        inputNorm: norm(`layer ${index} input norm`),
        linears: Object.fromEntries(linears) as Record<LoraTarget, Matrix>,
        postAttentionNorm: norm(`layer ${index} post-attention norm`),
      };
    };
    const embedding = noise.matrix('embedding', dtype, vocabSize, hiddenSize);
    const model = {
      gpu,
      label: 'noise',
      config,
      dtype,
      embedding,
      layers: Array.from({ length: config.layers }, (_, index) => layer(index)),
      finalNorm: norm('final norm'),
      lmHead: config.tiedEmbeddings ? embedding : noise.matrix('lm_head', dtype, vocabSize, hiddenSize),
      inverseFrequency: arena.upload('inverse frequencies', ropeInverseFrequencies(config)),
    };
    await arena.given();
    const program = await b.finish('noise model');
    program.run();
    await gpu.idle();
    program.destroy();
    return { ...model, bytes: arena.bytes, destroy: () => arena.destroy() };
  } catch (error) {
    arena.destroy();
    throw error;
  }
}
