import { expect, it } from 'vitest';
import { testGpu } from '../../test/gpu.ts';
import { createArena } from '../gpu/buffers.ts';
import { createProgramBuilder } from '../gpu/program.ts';
import { embeddingForward } from './embedding.ts';
import type { Matrix } from './matrix.ts';

it.each(['int8', 'f32'] as const)('gathers rows of a table of %s weights', async (dtype) => {
  const gpu = await testGpu();
  const arena = createArena(gpu.device);
  const [vocabulary, dim] = [11, 20];
  // One row more than the matrix claims, so that reading past the vocabulary would give numbers, not zeros.
  const q = Int8Array.from({ length: (vocabulary + 1) * dim }, (_, i) => ((i * 37) % 255) - 127);
  const scale = Float32Array.from({ length: vocabulary + 1 }, (_, n) => 0.01 + 0.003 * n);
  const dense = Float32Array.from(q, (value, i) => value * (scale[Math.floor(i / dim)] ?? 0));
  const size = { rows: vocabulary, cols: dim };
  const w: Matrix =
    dtype === 'int8'
      ? { dtype, q: arena.upload('q', q), scale: arena.upload('scale', scale), ...size }
      : { dtype, w: arena.upload('w', dense), ...size };
  const ids = [10, 0, 3, 3, 11, 7, 0xffffffff]; // two of them outside the vocabulary
  const x = arena.upload('x', new Float32Array(ids.length * dim).fill(9));
  const b = createProgramBuilder(gpu);
  embeddingForward(b, { ids: arena.upload('ids', Uint32Array.from(ids)), w, x, rows: ids.length });
  const program = await b.finish('embedding');
  program.run();
  const expected = ids.flatMap((id) =>
    Array.from({ length: dim }, (_, k) => (id < vocabulary ? (dense[id * dim + k] ?? 0) : 0)),
  );
  expect([...(await gpu.readF32(x, ids.length * dim))]).toEqual(expected);
  program.destroy();
  arena.destroy();
});
