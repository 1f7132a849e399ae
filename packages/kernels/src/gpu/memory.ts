import { GpuError } from './error.ts';

/** GPU memory held by this device's tensors, uniforms and read-backs. Pipelines and the driver's own needs are not in it. */
export interface GpuMemory {
  readonly bytes: number;
  /** The most that was held at once since the device was opened or `resetPeak` was called. */
  readonly peakBytes: number;
  resetPeak(): void;
}

interface Account extends GpuMemory {
  add(bytes: number): void;
  /** Allocations that failed and are not yet given up. */
  readonly failures: Set<GpuError>;
}

// By device and not by Gpu: arenas are made from a device alone.
const accounts = new WeakMap<GPUDevice, Account>();

export function memoryOf(device: GPUDevice): Account {
  const known = accounts.get(device);
  if (known) return known;
  let bytes = 0;
  let peakBytes = 0;
  const account: Account = {
    get bytes() {
      return bytes;
    },
    get peakBytes() {
      return peakBytes;
    },
    resetPeak() {
      peakBytes = bytes;
    },
    add(more) {
      bytes += more;
      peakBytes = Math.max(peakBytes, bytes);
    },
    failures: new Set(),
  };
  accounts.set(device, account);
  return account;
}

/** A buffer whose bytes are counted until it is released. */
export interface CountedBuffer {
  readonly buffer: GPUBuffer;
  /** Resolves when the driver has really given the memory; throws GpuError 'out-of-memory' naming the buffer. */
  readonly given: Promise<void>;
  /** Destroys the buffer; its failed allocation, if it was one, no longer counts against the device. */
  release(): void;
}

/**
 * Creates a buffer and counts it. WebGPU tells of missing memory only later: until then the device looks fine, so whoever
 * can do with less awaits `given`, and everyone else learns it from the next `gpu.check()`.
 */
export function createCounted(device: GPUDevice, descriptor: GPUBufferDescriptor): CountedBuffer {
  const account = memoryOf(device);
  const size = descriptor.size;
  device.pushErrorScope('out-of-memory');
  const buffer = device.createBuffer(descriptor);
  account.add(size);
  let failure: GpuError | undefined;
  let released = false;
  const held = account.bytes;
  const given = device.popErrorScope().then((error) => {
    if (!error) return;
    failure = new GpuError(
      'out-of-memory',
      `the GPU has no ${mebibytes(size)} left for ${descriptor.label ?? 'a buffer'} (${mebibytes(held)} are asked for in all): ` +
        'use a smaller batch, a shorter sequence or a smaller model, or close other programs that use the GPU',
    );
    if (!released) account.failures.add(failure);
    throw failure;
  });
  given.catch(() => undefined); // known through check() where nobody awaits it; a lost device is reported by itself
  return {
    buffer,
    given,
    release() {
      if (released) return;
      released = true;
      buffer.destroy();
      account.add(-size);
      if (failure) account.failures.delete(failure);
    },
  };
}

export function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
