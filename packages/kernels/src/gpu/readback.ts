import type { BufferView } from './buffers.ts';
import type { Gpu } from './device.ts';
import { GpuError } from './error.ts';
import { createCounted } from './memory.ts';

/** One mapping buffer, made once, that gathers what a step has to tell the CPU, so that a step waits once. */
export interface Readback {
  /** Queues a copy of the first `elements` 4-byte elements of `view` behind the work submitted so far. */
  copy(view: BufferView, elements: number): void;
  /** Waits for the copies queued since the last call; they stand one behind the other in the order of the calls. */
  read(): Promise<ArrayBuffer>;
  /** Forgets copies queued by work that failed before its read. */
  reset(): void;
  destroy(): void;
}

/** Holds up to `elements` 4-byte elements between two reads; grows where more are asked for. */
export function createReadback(gpu: Gpu, elements: number): Readback {
  const { device } = gpu;
  const create = (size: number) => createCounted(device, { label: 'read-back', size, usage: 0x1 | 0x8 }); // MAP_READ | COPY_DST
  type Part = ReturnType<typeof create>;
  let held = create(Math.max(1, elements) * 4);
  let used = 0;
  // A mappable buffer cannot be copied from, so what outgrew one stays there until it is read.
  let full: { readonly part: Part; readonly bytes: number }[] = [];
  const release = () => {
    for (const { part } of full) part.release();
    full = [];
  };
  const map = async ({ buffer }: Part, size: number): Promise<Uint8Array> => {
    if (size === 0) return new Uint8Array(0);
    try {
      await gpu.wait(buffer.mapAsync(0x1, 0, size)); // GPUMapMode.READ
    } catch (error) {
      gpu.check();
      throw new GpuError('device-lost', `read-back failed: ${String(error)}`);
    }
    const bytes = new Uint8Array(buffer.getMappedRange(0, size).slice(0));
    buffer.unmap();
    return bytes;
  };
  return {
    copy(view, count) {
      if (used + count * 4 > held.buffer.size) {
        full.push({ part: held, bytes: used });
        held = create(Math.max(count * 4, held.buffer.size * 2));
        used = 0;
      }
      const encoder = device.createCommandEncoder();
      encoder.copyBufferToBuffer(view.buffer, view.offset, held.buffer, used, count * 4);
      device.queue.submit([encoder.finish()]);
      used += count * 4;
    },
    async read() {
      gpu.check();
      const parts = [...full, { part: held, bytes: used }];
      used = 0;
      try {
        const pieces = await Promise.all(parts.map(({ part, bytes }) => map(part, bytes)));
        const whole = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
        let at = 0;
        for (const piece of pieces) {
          whole.set(piece, at);
          at += piece.length;
        }
        return whole.buffer;
      } finally {
        release();
        gpu.check();
      }
    },
    reset() {
      used = 0;
      release();
    },
    destroy() {
      release();
      held.release();
    },
  };
}
