import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseLlamaConfig } from '../../src/llama/config.ts';
import type { ModelSource, TensorData } from '../../src/llama/source.ts';

/** Tensors are base64 of little-endian float32, q of int8; see make_golden.py. */
interface GoldenWeights {
  readonly weights: Record<string, { shape: number[]; f32: string }>;
  readonly quantized: Record<string, { q: string; scale: string }>;
}

export const goldenFile = (name: string): unknown =>
  JSON.parse(readFileSync(fileURLToPath(new URL(`./${name}`, import.meta.url)), 'utf8'));
export const bytesOf = (text: string): Uint8Array<ArrayBuffer> => Uint8Array.from(Buffer.from(text, 'base64'));
export const floatsOf = (text: string): Float32Array<ArrayBuffer> => new Float32Array(bytesOf(text).buffer);

/** The golden weights as a model; `int8` takes their quantised rows. */
export function goldenSource(name: 'untied' | 'tied' | 'int8', config: unknown): ModelSource {
  const { weights, quantized } = goldenFile('tiny.json') as GoldenWeights;
  const dtype = name === 'int8' ? 'int8' : 'f32';
  const names = Object.keys(weights);
  return {
    label: `golden ${name}`,
    config: parseLlamaConfig(config),
    dtype,
    tensorNames: names,
    bytes: names.reduce((sum, key) => sum + (weights[key]?.f32.length ?? 0), 0),
    async tensor(key): Promise<TensorData> {
      const weight = weights[key];
      const rows8 = quantized[key];
      if (!weight) throw new Error(`no tensor ${key}`);
      if (dtype === 'f32' || !rows8) return { dtype: 'f32', shape: weight.shape, data: floatsOf(weight.f32) };
      const [rows = 0, cols = 0] = weight.shape;
      return { dtype, shape: [rows, cols], q: new Int8Array(bytesOf(rows8.q).buffer), scale: floatsOf(rows8.scale) };
    },
    tokenizerJson: () => Promise.reject(new Error('no tokenizer')),
    chatTemplate: () => Promise.resolve(null),
  };
}
