import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-webgpu';
import { type Contestant, finished, type Library } from './contestant.ts';
import type { Product } from './product.ts';

/** TensorFlow.js on WebGPU; f32 only. */
export async function openTfjs(): Promise<Library & { readonly backend: WebGPUBackend }> {
  if (!(await tf.setBackend('webgpu'))) throw new Error('TensorFlow.js could not open its WebGPU backend');
  await tf.ready();
  const backend = tf.backend() as WebGPUBackend;
  return {
    backend,
    device: backend.device,
    contestants: (product) => [() => contestant(backend, product, false), () => contestant(backend, product, true)],
  };
}

async function contestant(backend: WebGPUBackend, p: Product, transposed: boolean): Promise<Contestant> {
  const a = tf.tensor2d(p.a, [p.m, p.k]);
  const b = transposed ? tf.tensor2d(p.bTransposed, [p.n, p.k]) : tf.tensor2d(p.b, [p.k, p.n]);
  const multiply = () => tf.matMul(a, b, false, transposed);
  return {
    method: transposed ? 'matMul, transposeB' : 'matMul',
    arithmetic: 'f32',
    async run(times) {
      for (let i = 0; i < times; i++) multiply().dispose();
      await flushed(backend);
    },
    async result() {
      const c = multiply();
      const values = await c.data<'float32'>();
      c.dispose();
      return values;
    },
    destroy() {
      a.dispose();
      b.dispose();
    },
  };
}

/** Submits what the backend still holds back (it submits every 15 dispatches) and waits for the end. */
export async function flushed(backend: WebGPUBackend): Promise<void> {
  backend.ensureCommandEncoderReady();
  backend.endComputePassEncoder();
  backend.submitQueue();
  await finished(backend.device);
}
