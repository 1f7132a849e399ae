import type { Arena, BufferView } from '../gpu/buffers.ts';
import { defineKernel } from '../gpu/kernel.ts';
import { gridFor, type ProgramBuilder } from '../gpu/program.ts';
import type { Matrix } from '../ops/matrix.ts';
import fillWgsl from './fill.wgsl?raw';

const fill = defineKernel({
  name: 'fill',
  wgsl: fillWgsl,
  params: { words: 'u32', salt: 'u32', scale: 'f32', offset: 'f32' },
  buffers: { out: 'write' },
});

/** Makes tensors of repeatable noise on the GPU; run the builder's program before they are used. */
export interface Noise {
  /** f32 (elements), uniform in offset ± scale. */
  floats(label: string, elements: number, scale?: number, offset?: number): BufferView;
  /** (rows, cols), a deviation of about 0.02 as in a trained model. */
  matrix(label: string, dtype: 'int8' | 'f32', rows: number, cols: number): Matrix;
}

/** Deviation of a weight; uniform noise in ± scale has a deviation of scale / √3. */
const WEIGHT_DEVIATION = 0.02;

export function createNoise(b: ProgramBuilder, arena: Arena): Noise {
  let salt = 0;
  const record = (out: BufferView, words: number, scale: number, offset: number, kind: 0 | 1) => {
    salt = (salt + 0x9e3779b9) >>> 0; // the golden ratio in 32 bits: neighbouring tensors share no noise
    b.dispatch(fill, { out }, { words, salt, scale, offset }, gridFor(words, 64), { KIND: kind });
  };
  const floats = (label: string, elements: number, scale = 1, offset = 0): BufferView => {
    const view = arena.alloc(label, elements);
    record(view, elements, scale, offset, 0);
    return view;
  };
  return {
    floats,
    matrix(label, dtype, rows, cols) {
      const scale = WEIGHT_DEVIATION * Math.sqrt(3);
      if (dtype === 'f32') return { dtype, w: floats(label, rows * cols, scale), rows, cols };
      const q = arena.alloc(label, (rows * cols) / 4);
      record(q, (rows * cols) / 4, 0, 0, 1);
      return { dtype, q, scale: floats(`${label} scale`, rows, 0, scale / 127), rows, cols };
    },
  };
}
