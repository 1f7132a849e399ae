import { expect, it } from 'vitest';
import { testGpu } from '../../test/gpu.ts';
import { chosenVariant, rowsClass } from './matmul_choice.ts';
import { tuneMatmuls } from './matmul_tune.ts';

it('groups row counts', () => {
  expect([1, 2, 4, 5, 64, 65, 256, 257, 2048].map(rowsClass)).toEqual([1, 4, 4, 16, 64, 256, 256, 1024, 1024]);
});

it('measures on this adapter when asked to, remembers, and takes the choice from the store the next time', async () => {
  const gpu = await testGpu();
  const store = new Map<string, unknown>();
  const size = { dtype: 'int8', inputs: 16, outputs: 8 } as const;
  const shapes = [
    { op: 'forward', rows: 3, ...size },
    { op: 'forward', rows: 4, ...size }, // the same rows class
  ] as const;
  const matrix = { dtype: 'int8', rows: 8, cols: 16 } as const;
  expect(chosenVariant(gpu, 'forward', matrix, 3)).toBeUndefined();
  const tuned = await tuneMatmuls(gpu, shapes, store, { onSoftware: true, rounds: 1, sampleMs: 0.1 });
  expect(tuned).toHaveLength(1);
  expect(tuned[0]).toMatchObject({ key: 'matmul forward int8 4×16→8', from: 'measured' });
  expect([...store.values()]).toEqual([tuned[0]?.variant]);
  expect(chosenVariant(gpu, 'forward', matrix, 3)).toBe(tuned[0]?.variant);
  expect(chosenVariant(gpu, 'forward', matrix, 5)).toBeUndefined();

  const again = await tuneMatmuls(gpu, shapes, store, { onSoftware: true });
  expect(again).toEqual([{ ...tuned[0], from: 'store' }]);
});

it('leaves the fixed table alone on a software adapter unless asked', async () => {
  const gpu = await testGpu();
  if (gpu.adapter.kind === 'hardware') return;
  const shape = { op: 'backward', dtype: 'f32', rows: 1, inputs: 4, outputs: 4 } as const;
  expect(await tuneMatmuls(gpu, [shape], new Map())).toEqual([]);
});
