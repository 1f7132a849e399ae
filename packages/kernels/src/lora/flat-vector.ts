import { type Arena, type BufferView, writeView } from '../gpu/buffers.ts';
import type { AdapterMatrix } from '../ops/lora.ts';
import type { AdapterLayout, AdapterTensor } from './layout.ts';

/** Elements start … start + length − 1 of a flat vector: whole tensors of the adapter. */
export interface Segment {
  readonly start: number;
  readonly length: number;
}

/**
 * A flat vector on the GPU: in one buffer wherever the adapter can bind it, else in several that hold whole tensors. Whatever
 * works on every element goes over the pieces; a tensor is never torn apart.
 */
export interface FlatVector {
  /** Elements of all pieces together. */
  readonly length: number;
  readonly pieces: readonly (Segment & { readonly view: BufferView })[];
}

/**
 * Cuts a layout's vector into as few segments as possible, of at most `bufferBytes` each, one behind the other. A tensor that
 * is larger by itself makes a segment of its own, which allocation will refuse.
 */
export function segmentsOf({ tensors, length }: Pick<AdapterLayout, 'tensors' | 'length'>, bufferBytes: number) {
  if (length * 4 <= bufferBytes) return [{ start: 0, length }];
  const segments: Segment[] = [];
  let start = 0;
  let end = 0;
  for (const { offset, shape } of tensors) {
    const next = offset + shape[0] * shape[1];
    if (end > start && (next - start) * 4 > bufferBytes) {
      segments.push({ start, length: end - start });
      start = end;
    }
    end = next;
  }
  return [...segments, { start, length: end - start }];
}

/** Allocates a vector of zeros. Throws GpuError 'limit' where a segment is more than the adapter binds. */
export function allocVector(arena: Arena, label: string, segments: readonly Segment[]): FlatVector {
  const pieces = segments.map((segment) => ({ ...segment, view: arena.alloc(label, segment.length) }));
  return { length: segments.reduce((sum, { length }) => sum + length, 0), pieces };
}

/** Allocates and uploads the vector of a layout, in buffers of what the device binds. */
export function uploadVector(
  arena: Arena,
  device: GPUDevice,
  { layout, vector }: { readonly layout: AdapterLayout; readonly vector: Float32Array },
): FlatVector {
  const flat = allocVector(arena, 'adapter', segmentsOf(layout, largestBuffer(device)));
  writeVector(device, flat, vector);
  return flat;
}

/** The most bytes that one buffer may have and a kernel still bind whole. */
export function largestBuffer({ limits }: GPUDevice): number {
  return Math.min(limits.maxBufferSize, limits.maxStorageBufferBindingSize);
}

/** Uploads all of a vector. Throws RangeError for another length than its own. */
export function writeVector(device: GPUDevice, { length, pieces }: FlatVector, values: Float32Array): void {
  if (values.length !== length) throw new RangeError(`got ${values.length} values for a vector of ${length}`);
  for (const piece of pieces) {
    writeView(device, piece.view, values.subarray(piece.start, piece.start + piece.length));
  }
}

/** WebGPU binds at multiples of 256 bytes. */
const ALIGNED_ELEMENTS = 64;

/** The part of a vector that holds one tensor, and at most 63 elements before it. Throws RangeError for a foreign tensor. */
export function sliceOf(
  { pieces }: FlatVector,
  { name, offset, shape }: Pick<AdapterTensor, 'name' | 'offset' | 'shape'>,
): AdapterMatrix {
  const elements = shape[0] * shape[1];
  const piece = pieces.find(({ start, length }) => start <= offset && offset + elements <= start + length);
  if (!piece) throw new RangeError(`${name} at ${offset} lies in no buffer of this vector: it is for another layout`);
  const first = offset - piece.start;
  const before = first % ALIGNED_ELEMENTS;
  const { buffer, offset: base } = piece.view;
  return { view: { buffer, offset: base + (first - before) * 4, size: (before + elements) * 4 }, offset: before };
}
