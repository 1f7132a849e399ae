import { mix32, uniform } from '../lora/uniform.ts';
import { modelTensors } from '../quantize/model-tensors.ts';
import { quantizeRows } from '../quantize/quantize-rows.ts';
import type { LlamaConfig } from './config.ts';
import type { ModelSource, TensorData } from './source.ts';

/** A model source over tensors in memory; matrices are quantised where `dtype` says so. */
export function arraySource(
  config: LlamaConfig,
  dtype: 'int8' | 'f32',
  weight: (name: string, elements: number) => Float32Array<ArrayBuffer>,
): ModelSource {
  const tensors = modelTensors(config);
  return {
    label: 'arrays',
    config,
    dtype,
    tensorNames: tensors.map(({ name }) => name),
    bytes: tensors.reduce((sum, { shape }) => sum + shape[0] * (shape[1] ?? 1) * 4, 0),
    async tensor(name): Promise<TensorData> {
      const found = tensors.find((tensor) => tensor.name === name);
      if (!found) throw new Error(`no tensor ${name}`);
      const [rows, cols] = found.shape;
      const data = weight(name, rows * (cols ?? 1));
      if (cols === undefined || dtype === 'f32') return { dtype: 'f32', shape: found.shape, data };
      return { dtype: 'int8', shape: [rows, cols], ...quantizeRows(data, rows, cols) };
    },
    tokenizerJson: () => Promise.reject(new Error('no tokenizer')),
    chatTemplate: () => Promise.resolve(null),
  };
}

/** Seeded weights: matrices uniform with standard deviation `spread`/√hidden, norms around one. */
export function randomSource(config: LlamaConfig, dtype: 'int8' | 'f32', seed = 1, spread = 1): ModelSource {
  const bound = spread * Math.sqrt(3 / config.hiddenSize);
  return arraySource(config, dtype, (name, elements) => {
    const salt = Array.from(name).reduce((hash, letter) => mix32(hash ^ letter.charCodeAt(0)), seed);
    return Float32Array.from({ length: elements }, (_, i) => {
      const u = 2 * uniform(salt, i) - 1;
      return name.includes('norm') ? 1 + 0.3 * u : bound * u;
    });
  });
}
