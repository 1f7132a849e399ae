import { expect, it } from 'vitest';
import { testGpu } from '../../test/gpu.ts';
import type { Gpu } from '../gpu/device.ts';
import { defineKernel } from '../gpu/kernel.ts';
import { selfTest, selfTestOnce } from './self-test.ts';

/** The GPU as a driver would make it that computes one kernel slightly wrongly. */
async function wrongIn(kernelName: RegExp, right: string, wrong: string): Promise<Gpu> {
  const gpu = await testGpu();
  return {
    ...gpu,
    pipeline(kernel, overrides) {
      if (!kernelName.test(kernel.name)) return gpu.pipeline(kernel, overrides);
      expect(kernel.wgsl).toContain(right);
      return gpu.pipeline(defineKernel({ ...kernel, wgsl: kernel.wgsl.replaceAll(right, wrong) }), overrides);
    },
  };
}

it('finds this GPU right, far within its tolerance', async () => {
  const { lossError, gradientError } = await selfTest(await testGpu());
  expect(lossError).toBeLessThan(1e-6);
  expect(gradientError).toBeLessThan(1e-5);
});

it.each([
  ['forward', /^swiglu_vec4$/, '1.0 + exp', '1.01 + exp'],
  ['backward', /^swiglu_backward_vec4$/, '1.0 -', '1.01 -'],
])('finds a GPU wrong that errs by a percent in one %s kernel', async (_, kernel, right, wrong) => {
  const gpu = await wrongIn(kernel, right, wrong);
  await expect(selfTest(gpu)).rejects.toMatchObject({ code: 'wrong-results' });
});

it('tells an error in flash attention alone, where that is tested', async () => {
  const gpu = await wrongIn(/^flash_attention_queries/, 'params.scale * ', '1.1 * params.scale * ');
  await expect(selfTest(gpu, ['flash'])).rejects.toMatchObject({ code: 'wrong-results' });
  await expect(selfTest(gpu, ['materialised'])).resolves.toBeDefined();
});

it('asks an adapter once, and again one that failed', async () => {
  const store = new Map<string, unknown>();
  await selfTestOnce(await testGpu(), store);
  expect([...store.values()]).toHaveLength(1);
  const wrong = await wrongIn(/^swiglu_vec4$/, '1.0 + exp', '1.01 + exp');
  await selfTestOnce(wrong, store); // known to be right
  store.clear();
  await expect(selfTestOnce(wrong, store)).rejects.toMatchObject({ code: 'wrong-results' });
  expect(store.size).toBe(0);
});
