import type { ManifestTensor, Segment } from './manifest.ts';
import { TENSOR_ALIGNMENT } from './manifest.ts';
import { type ModelTensor, storedBytes } from './model-tensors.ts';

/** Where a tensor's elements and scales begin, in bytes from the start of all shards laid end to end. */
export interface PlacedTensor {
  readonly tensor: ModelTensor;
  readonly entry: ManifestTensor;
  readonly dataAt: number;
  /** int8 only. */
  readonly scaleAt: number | null;
  readonly endAt: number;
}

/**
 * Places tensors into shards of `shardBytes` each (a multiple of the alignment; the last is shorter) from their shapes alone:
 * elements, then scales, each at the next aligned byte, over into the next shard where one is full.
 */
export function layOut(
  tensors: readonly ModelTensor[],
  dtype: 'int8' | 'f32',
  shardBytes: number,
): readonly PlacedTensor[] {
  if (shardBytes < TENSOR_ALIGNMENT || shardBytes % TENSOR_ALIGNMENT !== 0) {
    throw new RangeError(`shards of ${shardBytes} bytes: expected a multiple of ${TENSOR_ALIGNMENT}`);
  }
  let at = 0;
  return tensors.map((tensor) => {
    const { name, kind, shape } = tensor;
    const int8 = kind === 'matrix' && dtype === 'int8';
    const scaleBytes = int8 ? 4 * shape[0] : 0;
    const dataBytes = storedBytes(tensor, dtype) - scaleBytes;
    const dataAt = aligned(at);
    at = dataAt + dataBytes;
    const plain: ManifestTensor = {
      name,
      dtype: 'f32',
      shape: [...shape],
      data: segmentsOf(dataAt, dataBytes, shardBytes),
    };
    if (!int8) return { tensor, entry: plain, dataAt, scaleAt: null, endAt: at };
    const scaleAt = aligned(at);
    at = scaleAt + scaleBytes;
    const scale = segmentsOf(scaleAt, scaleBytes, shardBytes);
    return { tensor, entry: { ...plain, dtype: 'int8', scale }, dataAt, scaleAt, endAt: at };
  });
}

function segmentsOf(at: number, bytes: number, shardBytes: number): Segment[] {
  const segments: Segment[] = [];
  for (let from = at; from < at + bytes; ) {
    const offset = from % shardBytes;
    const count = Math.min(at + bytes - from, shardBytes - offset);
    segments.push({ shard: Math.floor(from / shardBytes), offset, bytes: count });
    from += count;
  }
  return segments;
}

function aligned(at: number): number {
  return Math.ceil(at / TENSOR_ALIGNMENT) * TENSOR_ALIGNMENT;
}
