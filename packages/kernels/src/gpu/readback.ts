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

/** Holds up to `elements` 4-byte elements between two reads; grows, between reads, where more are asked for. */
export function createReadback(gpu: Gpu, elements: number): Readback {
  const { device } = gpu;
  const create = (size: number) => createCounted(device, { label: 'read-back', size, usage: 0x1 | 0x8 }); // MAP_READ | COPY_DST
  let held = create(Math.max(1, elements) * 4);
  let used = 0;
  return {
    copy(view, count) {
      const needed = used + count * 4;
      const encoder = device.createCommandEncoder();
      if (needed > held.buffer.size) {
        const larger = create(Math.max(needed, held.buffer.size * 2));
        encoder.copyBufferToBuffer(held.buffer, 0, larger.buffer, 0, used);
        const outgrown = held;
        held = larger;
        void device.queue.onSubmittedWorkDone().then(() => outgrown.release());
      }
      encoder.copyBufferToBuffer(view.buffer, view.offset, held.buffer, used, count * 4);
      device.queue.submit([encoder.finish()]);
      used = needed;
    },
    async read() {
      gpu.check();
      const size = used;
      used = 0;
      if (size === 0) return new ArrayBuffer(0);
      try {
        await held.buffer.mapAsync(0x1, 0, size); // GPUMapMode.READ
      } catch (error) {
        gpu.check();
        throw new GpuError('device-lost', `read-back failed: ${String(error)}`);
      }
      const bytes = held.buffer.getMappedRange(0, size).slice(0);
      held.buffer.unmap();
      gpu.check();
      return bytes;
    },
    reset() {
      used = 0;
    },
    destroy: () => held.release(),
  };
}
