import {
  aggregateUpdates,
  algorithmOf,
  type BlobRef,
  type Effect,
  type EncodedUpdate,
  type RunConfig,
  type StoredBlob,
} from '@cotune/fl-core';
import type { BlobFile, BlobStore } from './blobs/blob-store.ts';

/**
 * The server half of a round: reads the updates' blobs in slices, lets the algorithm make the next global adapter, and
 * writes it and the algorithm's state as blobs. A function of the effect alone, so that repeating it after a crash gives
 * the same bits. Throws FlError 'not-finite' when the next adapter would not be finite; nothing refers to it then.
 */
export async function aggregate(
  blobs: BlobStore,
  config: RunConfig,
  effect: Pick<Extract<Effect, { type: 'aggregate' }>, 'round' | 'updates' | 'clients' | 'adapter' | 'algorithmState'>,
): Promise<{ adapter: BlobRef; algorithmState: StoredBlob | null }> {
  const files: BlobFile[] = [];
  try {
    const updates: EncodedUpdate[] = [];
    for (const { participantId, blob, examples } of effect.updates) {
      const file = await blobs.open(blob.sha256);
      files.push(file);
      updates.push({ participantId, examples, bytes: blob.bytes, read: file.read });
    }
    const next = await aggregateUpdates({
      algorithm: algorithmOf(config.algorithm),
      hyper: config.algorithm.hyper,
      adapter: await blobs.read(effect.adapter.sha256),
      algorithmState: effect.algorithmState && (await blobs.read(effect.algorithmState.sha256)),
      updates,
      clients: effect.clients,
      round: effect.round,
    });
    const algorithmState = next.algorithmState && (await blobs.put('state', next.algorithmState));
    return {
      adapter: await blobs.put('adapter', next.adapter),
      algorithmState: algorithmState && { sha256: algorithmState.sha256, bytes: algorithmState.bytes },
    };
  } finally {
    for (const file of files) await file.close();
  }
}
