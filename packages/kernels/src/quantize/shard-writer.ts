import { type ModelManifest, type Segment, TENSOR_ALIGNMENT } from './manifest.ts';
import { sha256Hex } from './sha256.ts';
import type { FileSink } from './source.ts';

/** Packs tensors into numbered shards; holds one shard in memory at a time. */
export interface ShardWriter {
  /** Moves to the next tensor's place. */
  align(): void;
  /** Adds bytes, over into the next shard when this one is full; notes where they went in `segments`. */
  write(bytes: Uint8Array, segments: Segment[]): Promise<void>;
  /** Writes the last shard and gives the table of all. */
  finish(): Promise<ModelManifest['shards']>;
}

/** `shardBytes`, a multiple of the tensor alignment, is the size of every shard but the last. */
export function createShardWriter(sink: FileSink, shardBytes: number): ShardWriter {
  if (shardBytes < TENSOR_ALIGNMENT || shardBytes % TENSOR_ALIGNMENT !== 0) {
    throw new RangeError(`shards of ${shardBytes} bytes: expected a multiple of ${TENSOR_ALIGNMENT}`);
  }
  const shard = new Uint8Array(shardBytes);
  const shards: ModelManifest['shards'] = [];
  let used = 0;

  const flush = async (): Promise<void> => {
    const bytes = shard.subarray(0, used);
    const file = `shard-${String(shards.length).padStart(5, '0')}.bin`;
    await sink.append(file, bytes);
    await sink.close(file);
    shards.push({ file, bytes: used, sha256: await sha256Hex(bytes) });
    used = 0;
  };

  return {
    align() {
      const aligned = Math.ceil(used / TENSOR_ALIGNMENT) * TENSOR_ALIGNMENT;
      shard.fill(0, used, aligned);
      used = aligned;
    },
    async write(bytes, segments) {
      for (let from = 0; from < bytes.byteLength; ) {
        if (used === shardBytes) await flush();
        const count = Math.min(bytes.byteLength - from, shardBytes - used);
        shard.set(bytes.subarray(from, from + count), used);
        const last = segments.at(-1);
        if (last && last.shard === shards.length) last.bytes += count;
        else segments.push({ shard: shards.length, offset: used, bytes: count });
        used += count;
        from += count;
      }
    },
    async finish() {
      if (used > 0) await flush();
      return shards;
    },
  };
}
