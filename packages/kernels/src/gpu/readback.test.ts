import { expect, it } from 'vitest';
import { testGpu } from '../../test/gpu.ts';
import { createArena } from './buffers.ts';
import { createReadback } from './readback.ts';

it('gives copies back in order, however many more than expected, again and again', async () => {
  const gpu = await testGpu();
  const arena = createArena(gpu.device);
  const values = Float32Array.from({ length: 40 }, (_, i) => i + 0.5);
  const view = arena.upload('values', values);
  const readback = createReadback(gpu, 4);
  expect((await readback.read()).byteLength).toBe(0);
  for (let round = 0; round < 3; round++) {
    const counts = [3, 1, 2, 40, 7, 1, 30];
    for (const count of counts) readback.copy(view, count);
    const expected = counts.flatMap((count) => [...values.subarray(0, count)]);
    expect([...new Float32Array(await readback.read())]).toEqual(expected);
  }
  for (let i = 0; i < 5; i++) readback.copy(view, 40);
  readback.reset();
  readback.copy(view, 2);
  expect([...new Float32Array(await readback.read())]).toEqual([0.5, 1.5]);
  gpu.check();
  readback.destroy();
  arena.destroy();
});
