import { expect, it } from 'vitest';
import { testGpu } from '../../test/gpu.ts';
import type { Gpu } from '../gpu/device.ts';
import { defineKernel } from '../gpu/kernel.ts';
import { chosenVariant, rowsClass } from './matmul_choice.ts';
import { tuneMatmuls } from './matmul_tune.ts';
import {
  BACKWARD_DEFAULTS,
  BACKWARD_VARIANTS,
  defaultVariant,
  FORWARD_DEFAULTS,
  FORWARD_VARIANTS,
} from './matmul_variants.ts';

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

it.each(['forward', 'backward'] as const)('never chooses a kernel of another result, however fast (%s)', async (op) => {
  const gpu = await testGpu();
  const shape = { op, dtype: 'int8', rows: 33, inputs: 16, outputs: 8 } as const;
  let [now, stepMs] = [0, 1000];
  const options = {
    onSoftware: true,
    rounds: 1,
    sampleMs: 1e-9,
    nowMs() {
      stepMs *= 0.9; // whoever comes last is the fastest
      now += stepMs;
      return now;
    },
  };
  const [last] = await tuneMatmuls({ ...gpu }, [shape], new Map(), options);
  let first: string | undefined;
  const wrong: Gpu = {
    ...gpu,
    pipeline(kernel, overrides) {
      first ??= kernel.wgsl;
      if (kernel.wgsl === first) return gpu.pipeline(kernel, overrides);
      expect(kernel.wgsl).toContain('return scale[row]');
      const wgsl = kernel.wgsl.replace('return scale[row]', 'return 1.001 * scale[row]');
      return gpu.pipeline(defineKernel({ ...kernel, wgsl }), overrides);
    },
  };
  const [chosen] = await tuneMatmuls(wrong, [shape], new Map(), options);
  const [defaults, variants] =
    op === 'forward' ? [FORWARD_DEFAULTS, FORWARD_VARIANTS] : [BACKWARD_DEFAULTS, BACKWARD_VARIANTS];
  const standard = defaultVariant<string>(gpu, defaults, variants, 64);
  expect(chosen?.variant).toBe(standard);
  expect(last?.variant).not.toBe(standard); // or the clock would not have tempted anyone
});

it('leaves the fixed table alone on a software adapter unless asked', async () => {
  const gpu = await testGpu();
  if (gpu.adapter.kind === 'hardware') return;
  const shape = { op: 'backward', dtype: 'f32', rows: 1, inputs: 4, outputs: 4 } as const;
  expect(await tuneMatmuls(gpu, [shape], new Map())).toEqual([]);
});
