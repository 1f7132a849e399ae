import type { ModelManifest } from './manifest.ts';
import { createSha256 } from './sha256.ts';
import type { FileSink } from './source.ts';

export type Shard = ModelManifest['shards'][number];

/** Cuts one stream of bytes into numbered shards and hashes them on the way; holds nothing but the bytes handed in. */
export interface ShardWriter {
  /** Puts bytes at a place of the stream, at or after the last one's end; what lies between is zero. */
  write(at: number, bytes: Uint8Array): Promise<void>;
  /** Closes the last shard and gives the table of all. */
  finish(): Promise<readonly Shard[]>;
}

/**
 * `kept` are the first shards, complete from an earlier run: bytes that belong to them are dropped. `onShard` is told of every
 * further one, with the table so far.
 */
export function createShardWriter(
  sink: FileSink,
  shardBytes: number,
  kept: readonly Shard[] = [],
  onShard: (shards: readonly Shard[]) => Promise<void> = async () => {},
): ShardWriter {
  const shards = [...kept];
  let end = kept.reduce((sum, shard) => sum + shard.bytes, 0);
  let hash = createSha256();

  const fileName = () => `shard-${String(shards.length).padStart(5, '0')}.bin`;
  const close = async (bytes: number): Promise<void> => {
    const file = fileName();
    await sink.close(file);
    shards.push({ file, bytes, sha256: hash.hex() });
    hash = createSha256();
    await onShard(shards);
  };
  const append = async (bytes: Uint8Array): Promise<void> => {
    for (let from = 0; from < bytes.byteLength; ) {
      const count = Math.min(bytes.byteLength - from, shardBytes - (end % shardBytes));
      const part = bytes.subarray(from, from + count);
      hash.update(part);
      await sink.append(fileName(), part);
      end += count;
      from += count;
      if (end % shardBytes === 0) await close(shardBytes);
    }
  };

  return {
    async write(at, bytes) {
      if (at > end) await append(new Uint8Array(at - end));
      const skip = Math.min(bytes.byteLength, Math.max(0, end - at));
      await append(skip === 0 ? bytes : bytes.subarray(skip));
    },
    async finish() {
      const rest = end % shardBytes;
      if (rest > 0) await close(rest);
      return shards;
    },
  };
}
