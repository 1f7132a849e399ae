import { GpuError } from './error.ts';
import { type CountedBuffer, createCounted, mebibytes } from './memory.ts';

/** A range of a GPU buffer, in bytes. WebGPU wants storage offsets in multiples of 256. */
export interface BufferView {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly size: number;
}

/**
 * A set of buffers that live and die together. Every tensor gets a GPUBuffer of its own: WebGPU tracks usage per buffer,
 * so two tensors in one buffer could never be read and written by the same dispatch.
 */
export interface Arena {
  /** Allocates `elements` 4-byte elements, zero-filled. Throws GpuError 'limit' when one binding could not hold them. */
  alloc(label: string, elements: number): BufferView;
  /** Allocates and uploads. The data is padded with zeros to a multiple of 4 bytes. */
  upload(label: string, data: Float32Array | Uint32Array | Int32Array | Uint8Array | Int8Array): BufferView;
  /** Bytes allocated so far. */
  readonly bytes: number;
  /**
   * Resolves when the driver has really given everything allocated so far; throws GpuError 'out-of-memory' naming the
   * first buffer it could not. After `destroy` the device may go on with a smaller arena.
   */
  given(): Promise<void>;
  destroy(): void;
}

const STORAGE = 0x80 | 0x04 | 0x08; // GPUBufferUsage.STORAGE | COPY_SRC | COPY_DST; the global is absent in Node.

export function createArena(device: GPUDevice): Arena {
  const held: CountedBuffer[] = [];
  let bytes = 0;
  const create = (label: string, size: number): GPUBuffer => {
    const limit = Math.min(device.limits.maxBufferSize, device.limits.maxStorageBufferBindingSize);
    if (size > limit) {
      throw new GpuError(
        'limit',
        `${label} needs ${mebibytes(size)} in one buffer, but this adapter binds at most ${mebibytes(limit)}: ` +
          'use a smaller batch, a shorter sequence or a smaller model.',
      );
    }
    const counted = createCounted(device, { label, size, usage: STORAGE });
    held.push(counted);
    bytes += size;
    return counted.buffer;
  };
  return {
    alloc(label, elements) {
      const size = Math.max(elements, 1) * 4;
      return { buffer: create(label, size), offset: 0, size };
    },
    upload(label, data) {
      const size = Math.max(4, Math.ceil(data.byteLength / 4) * 4);
      const buffer = create(label, size);
      writeBytes(device, buffer, data);
      return { buffer, offset: 0, size };
    },
    get bytes() {
      return bytes;
    },
    async given() {
      for (const { given } of held) await given;
    },
    destroy() {
      for (const counted of held) counted.release();
      held.length = 0;
      bytes = 0;
    },
  };
}

/** Uploads `data` to the start of `view`; its byte length is padded to a multiple of 4 as WebGPU asks. */
export function writeView(
  device: GPUDevice,
  view: BufferView,
  data: Float32Array | Uint32Array | Int32Array | Uint8Array | Int8Array,
): void {
  if (data.byteLength > view.size) {
    throw new GpuError('validation', `upload of ${data.byteLength} bytes into a view of ${view.size} bytes`);
  }
  writeBytes(device, view.buffer, data, view.offset);
}

function writeBytes(
  device: GPUDevice,
  buffer: GPUBuffer,
  data: Float32Array | Uint32Array | Int32Array | Uint8Array | Int8Array,
  offset = 0,
): void {
  const whole = data.byteLength - (data.byteLength % 4);
  if (whole > 0) device.queue.writeBuffer(buffer, offset, data.buffer, data.byteOffset, whole);
  if (whole === data.byteLength) return;
  const tail = new Uint8Array(4);
  tail.set(new Uint8Array(data.buffer, data.byteOffset + whole, data.byteLength - whole));
  device.queue.writeBuffer(buffer, offset + whole, tail);
}
