import {
  blockUntilReady,
  defaultDevice,
  getWebGPUDevice,
  init,
  type Array as JaxArray,
  numpy as np,
} from '@jax-js/jax';
import { type Contestant, finished, type Library } from './contestant.ts';
import type { Product } from './product.ts';

/** jax-js on WebGPU; f32. Its functions take their arguments over: `.ref` keeps one for later. */
export async function openJax(): Promise<Library> {
  const devices = await init('webgpu');
  if (!devices.includes('webgpu')) throw new Error('jax-js could not open its WebGPU device');
  defaultDevice('webgpu');
  const device = getWebGPUDevice();
  return {
    device,
    contestants: (product) => [() => contestant(device, product, false), () => contestant(device, product, true)],
  };
}

async function contestant(device: GPUDevice, p: Product, transposed: boolean): Promise<Contestant> {
  const a = np.array(p.a, { shape: [p.m, p.k] });
  const b = transposed ? np.array(p.bTransposed, { shape: [p.n, p.k] }) : np.array(p.b, { shape: [p.k, p.n] });
  const multiply = (): JaxArray => np.matmul(a.ref, transposed ? b.ref.transpose() : b.ref);
  await blockUntilReady([a, b]);
  return {
    method: transposed ? 'matmul, transposed' : 'matmul',
    arithmetic: 'f32',
    async run(times) {
      const results = Array.from({ length: times }, multiply); // lazy until waited for
      await blockUntilReady(results);
      await finished(device);
      for (const c of results) c.dispose();
    },
    async result() {
      return (await multiply().data()) as Float32Array;
    },
    destroy() {
      a.dispose();
      b.dispose();
    },
  };
}
