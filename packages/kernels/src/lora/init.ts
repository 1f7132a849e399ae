import type { AdapterLayout } from './layout.ts';
import { uniform } from './uniform.ts';

/**
 * A fresh adapter as PEFT makes it: A uniform in ±1/√inputs (Kaiming-uniform with a = √5), B zero, so that the tuned
 * model starts out as the base model. The same seed gives the same bits everywhere: participants need not exchange it.
 */
export function initAdapter(layout: AdapterLayout, seed: number): Float32Array<ArrayBuffer> {
  const vector = new Float32Array(layout.length);
  for (const { matrix, shape, offset } of layout.tensors) {
    if (matrix === 'B') continue;
    const [rank, inputs] = shape;
    const bound = 1 / Math.sqrt(inputs);
    for (let i = offset; i < offset + rank * inputs; i++) vector[i] = bound * (2 * uniform(seed, i) - 1);
  }
  return vector;
}
