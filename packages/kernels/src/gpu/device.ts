import { GpuError } from './error.ts';
import { compileKernel, type Kernel, type Overrides } from './kernel.ts';
import { createCounted, type GpuMemory, memoryOf } from './memory.ts';
import { createPace, type Pace } from './pace.ts';
import type { Wait } from './rest.ts';

/** What kind of processor stands behind the adapter; kernels choose their variant by it. */
export type AdapterKind = 'hardware' | 'llvmpipe' | 'swiftshader';

export interface AdapterSummary {
  readonly kind: AdapterKind;
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
  readonly features: readonly string[];
  readonly limits: Readonly<Record<(typeof WANTED_LIMITS)[number], number>>;
}

export interface Gpu {
  readonly device: GPUDevice;
  readonly adapter: AdapterSummary;
  /** Resolves once, when the device is gone. */
  readonly lost: Promise<GpuError>;
  /** What tensors, uniforms and read-backs hold on this device. */
  readonly memory: GpuMemory;
  /** How fast this adapter has been so far; decides where work is cut. */
  readonly pace: Pace;
  /** A compiled pipeline, made once per kernel and overrides. */
  pipeline(kernel: Kernel, overrides?: Overrides): Promise<GPUComputePipeline>;
  /** Throws the first uncaptured error or device loss; every run and read-back calls it. */
  check(): void;
  /** Awaits what the GPU has to finish first. */
  readonly wait: Wait;
  /** Resolves when all submitted work is done; throws as `check` does. */
  idle(): Promise<void>;
  /** Copies `elements` 4-byte elements back to the CPU. */
  readF32(view: { buffer: GPUBuffer; offset: number }, elements: number): Promise<Float32Array<ArrayBuffer>>;
  readU32(view: { buffer: GPUBuffer; offset: number }, elements: number): Promise<Uint32Array<ArrayBuffer>>;
  destroy(): void;
}

const WANTED_LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupSizeY',
  'maxStorageBuffersPerShaderStage',
] as const;
const WANTED_FEATURES = [
  'shader-f16',
  'subgroups',
  'timestamp-query',
  'chromium-experimental-subgroup-matrix', // ops/matmul_subgroup.ts
] as readonly GPUFeatureName[];

export interface OpenGpuOptions {
  /** Accept a CPU rasteriser (llvmpipe, SwiftShader). Off by default: a large model on one would never finish. */
  readonly allowSoftware?: boolean;
  /** How finished work is awaited. Default: plainly. */
  readonly wait?: Wait;
}

/** Describes an adapter without opening it. */
export function describeAdapter(adapter: GPUAdapter): AdapterSummary {
  const { vendor, architecture, device, description } = adapter.info;
  const words = `${vendor} ${architecture} ${device} ${description}`.toLowerCase();
  const kind = words.includes('swiftshader')
    ? 'swiftshader'
    : words.includes('llvmpipe') || words.includes('lavapipe')
      ? 'llvmpipe'
      : adapter.info.isFallbackAdapter
        ? 'swiftshader'
        : 'hardware';
  const limits = Object.fromEntries(WANTED_LIMITS.map((name) => [name, adapter.limits[name]]));
  return {
    kind,
    vendor,
    architecture,
    device,
    description,
    features: [...adapter.features].sort(),
    limits: limits as AdapterSummary['limits'],
  };
}

/**
 * Opens the best adapter with every limit it offers (the defaults of 128 MiB bindings and 8 storage buffers are too small
 * for large models). Throws GpuError 'no-webgpu', 'no-adapter' or 'software-adapter'.
 */
export async function openGpu(gpu: GPU | undefined, options: OpenGpuOptions = {}): Promise<Gpu> {
  if (!gpu)
    throw new GpuError('no-webgpu', 'this browser has no WebGPU: use Chrome or Edge 113+, Safari 26+ or Firefox 141+');
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) {
    throw new GpuError('no-adapter', 'WebGPU found no adapter: update the GPU driver, or enable WebGPU for this GPU');
  }
  const summary = describeAdapter(adapter);
  if (summary.kind !== 'hardware' && !options.allowSoftware) {
    throw new GpuError(
      'software-adapter',
      `the only WebGPU adapter is software (${summary.kind}): enable the hardware GPU, or allow software for a tiny model`,
    );
  }
  const device = await adapter.requestDevice({
    requiredFeatures: WANTED_FEATURES.filter((feature) => adapter.features.has(feature)),
    requiredLimits: { ...summary.limits },
  });
  return wrapDevice(device, summary, options.wait ?? ((work) => work));
}

function wrapDevice(device: GPUDevice, adapter: AdapterSummary, wait: Wait): Gpu {
  const memory = memoryOf(device);
  const pipelines = new Map<Kernel, Map<string, Promise<GPUComputePipeline>>>();
  let failure: GpuError | undefined;
  let destroyed = false;
  device.addEventListener('uncapturederror', (event) => {
    const error = (event as GPUUncapturedErrorEvent).error;
    const outOfMemory = error.constructor.name === 'GPUOutOfMemoryError';
    failure ??= new GpuError(outOfMemory ? 'out-of-memory' : 'validation', error.message);
  });
  const lost = device.lost.then((info) => {
    const error = new GpuError('device-lost', `the GPU device was lost (${info.reason}): ${info.message}`);
    failure ??= error;
    return error;
  });
  const check = () => {
    for (const outOfMemory of memory.failures) throw outOfMemory; // first: what follows from it has duller messages
    if (failure) throw failure;
    if (destroyed) throw new GpuError('device-lost', 'the GPU device was closed');
  };
  const idle = async () => {
    await wait(device.queue.onSubmittedWorkDone());
    check();
  };
  const read = async (view: { buffer: GPUBuffer; offset: number }, elements: number): Promise<ArrayBuffer> => {
    check();
    const counted = createCounted(device, { label: 'read-back', size: elements * 4, usage: 0x1 | 0x8 }); // MAP_READ | COPY_DST
    const staging = counted.buffer;
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(view.buffer, view.offset, staging, 0, elements * 4);
    device.queue.submit([encoder.finish()]);
    try {
      await wait(staging.mapAsync(0x1)); // GPUMapMode.READ
      return staging.getMappedRange().slice(0);
    } catch (error) {
      check();
      throw new GpuError('device-lost', `read-back failed: ${String(error)}`);
    } finally {
      counted.release();
      check();
    }
  };
  return {
    device,
    adapter,
    lost,
    memory,
    pace: createPace(adapter.kind),
    check,
    wait,
    idle,
    pipeline(kernel, overrides = {}) {
      let variants = pipelines.get(kernel);
      if (!variants) {
        variants = new Map();
        pipelines.set(kernel, variants);
      }
      const key = JSON.stringify(overrides);
      let pipeline = variants.get(key);
      if (!pipeline) {
        pipeline = compileKernel(device, kernel, overrides);
        variants.set(key, pipeline);
      }
      return pipeline;
    },
    readF32: async (view, elements) => new Float32Array(await read(view, elements)),
    readU32: async (view, elements) => new Uint32Array(await read(view, elements)),
    destroy() {
      destroyed = true;
      device.destroy();
    },
  };
}
