import { blobsOfKind } from '../store/blob-rows.ts';
import type { Db } from '../store/database.ts';
import { deleteUpload, staleUploads, uploadById } from '../store/uploads.ts';
import type { BlobStore } from './blob-store.ts';
import type { PartialFiles } from './partial-files.ts';

/**
 * Removes what nothing will ask for again: uploads idle for longer than `ttlMs`, partial files without an open upload,
 * and updates that no unfinished round needs (`neededUpdates` are the blob ids that one does).
 */
export async function sweep(options: {
  db: Db;
  blobs: BlobStore;
  partials: PartialFiles;
  nowMs: number;
  ttlMs: number;
  neededUpdates: ReadonlySet<string>;
}): Promise<{ uploads: number; updates: number }> {
  const { db, blobs, partials, nowMs, ttlMs, neededUpdates } = options;
  const swept = { uploads: 0, updates: 0 };
  for (const { upload_id: uploadId } of await staleUploads(db, nowMs - ttlMs)) {
    await deleteUpload(db, uploadId);
    await partials.remove(uploadId);
    swept.uploads++;
  }
  for (const uploadId of await partials.list()) {
    const row = await uploadById(db, uploadId);
    if (row?.status === 'open') continue;
    await partials.remove(uploadId);
    swept.uploads++;
  }
  for (const sha256 of await blobsOfKind(db, 'update')) {
    if (neededUpdates.has(sha256)) continue;
    await blobs.remove(sha256);
    swept.updates++;
  }
  return swept;
}
