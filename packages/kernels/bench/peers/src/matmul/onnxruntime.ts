import * as ort from 'onnxruntime-web/webgpu';
import { type Arithmetic, type Contestant, finished, type Library } from './contestant.ts';
import { encodeOnnxModel, type OnnxInitializer, type OnnxNode } from './onnx-model.ts';
import type { Product } from './product.ts';

/** Inputs that share a scale: the row's own is repeated, so any size is exact, and 32 is the one with the fastest kernels. */
const BLOCK_SIZE = 32;

/** onnxruntime-web's WebGPU build; its wasm is served from its own package under `wasmPath`. */
export async function openOnnxRuntime(wasmPath: string): Promise<Library> {
  ort.env.wasm.wasmPaths = wasmPath;
  ort.env.wasm.numThreads = 1; // the CPU only enqueues
  ort.env.logLevel = 'error';
  const device = await openDevice();
  return {
    device,
    contestants: (product) => [
      () => contestant(device, product, 'MatMul', 'f32', matMul(product)),
      ...(product.direction === 'forward'
        ? ([0, 4] as const).map(
            (level) => () =>
              contestant(
                device,
                product,
                `MatMulNBits 8 bit, accuracy_level ${level}`,
                level === 4 ? 'int8 × int8' : 'int8 weights',
                matMulNBits(product, level),
              ),
          )
        : []),
    ],
  };
}

/** The runtime makes its device itself, with the first session, and gives it up with the last: so this one stays. */
async function openDevice(): Promise<GPUDevice> {
  const one: Graph = {
    node: { operator: 'MatMul', domain: '', inputs: ['A', 'B'], output: 'Y', attributes: {} },
    initializers: [{ name: 'B', dims: [4, 4], data: new Float32Array(16) }],
  };
  await createSession(one, [4, 4], [4, 4]);
  return (await ort.env.webgpu.device) as GPUDevice;
}

interface Graph {
  readonly node: OnnxNode;
  readonly initializers: readonly OnnxInitializer[];
}

function matMul({ k, n, b }: Product): Graph {
  return {
    node: { operator: 'MatMul', domain: '', inputs: ['A', 'B'], output: 'Y', attributes: {} },
    initializers: [{ name: 'B', dims: [k, n], data: b }],
  };
}

/** com.microsoft.MatMulNBits: Y = A·dequantised(B)ᵀ, B (n, k / block, block) unsigned with a zero point of 128. */
function matMulNBits({ k, n, weights, scale }: Product, accuracyLevel: number): Graph {
  const blocks = k / BLOCK_SIZE;
  const attributes = { K: k, N: n, bits: 8, block_size: BLOCK_SIZE, accuracy_level: accuracyLevel };
  const domain = 'com.microsoft';
  return {
    node: { operator: 'MatMulNBits', domain, inputs: ['A', 'B', 'scales'], output: 'Y', attributes },
    initializers: [
      { name: 'B', dims: [n, blocks, BLOCK_SIZE], data: Uint8Array.from(weights.q, (value) => value + 128) },
      {
        name: 'scales',
        dims: [n, blocks],
        data: Float32Array.from({ length: n * blocks }, (_, i) => scale[Math.floor(i / blocks)] ?? 0),
      },
    ],
  };
}

function createSession(graph: Graph, a: readonly number[], y: readonly number[]): Promise<ort.InferenceSession> {
  const model = encodeOnnxModel({
    ...graph,
    inputs: [{ name: 'A', dims: a }],
    output: { name: 'Y', dims: y },
  });
  return ort.InferenceSession.create(model, {
    executionProviders: ['webgpu'],
    preferredOutputLocation: 'gpu-buffer',
  });
}

async function contestant(
  device: GPUDevice,
  { m, k, n, a }: Product,
  method: string,
  arithmetic: Arithmetic,
  graph: Graph,
): Promise<Contestant> {
  const session = await createSession(graph, [m, k], [m, n]);
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const input = device.createBuffer({ size: a.byteLength, usage });
  device.queue.writeBuffer(input, 0, a);
  const output = device.createBuffer({ size: m * n * 4, usage });
  const onGpu = (buffer: GPUBuffer, dims: number[]) =>
    ort.Tensor.fromGpuBuffer(buffer as never, { dataType: 'float32', dims }); // its own copy of WebGPU's types
  const feeds = { A: onGpu(input, [m, k]) };
  const fetches = { Y: onGpu(output, [m, n]) };
  return {
    method,
    arithmetic,
    async run(times) {
      for (let i = 0; i < times; i++) await session.run(feeds, fetches);
      await finished(device);
    },
    result: () => read(device, output),
    async destroy() {
      await session.release();
      input.destroy();
      output.destroy();
    },
  };
}

async function read(device: GPUDevice, buffer: GPUBuffer): Promise<Float32Array> {
  const staging = device.createBuffer({ size: buffer.size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, staging, 0, buffer.size);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  const values = new Float32Array(staging.getMappedRange().slice(0));
  staging.destroy();
  return values;
}
