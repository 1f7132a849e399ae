import type { BufferView } from '../gpu/buffers.ts';

/**
 * Rows `start` to `start + count` of a row-major tensor with `columns` 4-byte elements a row. `start` is a multiple of 64,
 * as from `rowPieces`: then the offset is one of 256 bytes, as WebGPU asks of bindings.
 */
export function rowsOf(view: BufferView, start: number, count: number, columns: number): BufferView {
  if (start === 0 && view.size <= count * columns * 4) return view;
  return { buffer: view.buffer, offset: view.offset + start * columns * 4, size: count * columns * 4 };
}
