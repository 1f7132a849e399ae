import { blobsOfKind } from '../store/blob-rows.ts';
import type { Db } from '../store/database.ts';
import { deleteUpload, openUploadHashes, staleUploads, uploadById } from '../store/uploads.ts';
import type { BlobStore } from './blob-store.ts';
import type { PartialFiles } from './partial-files.ts';

/** Removes uploads that nothing was written to since `beforeMs`, and partial files without an open upload. */
export async function sweepUploads(options: { db: Db; partials: PartialFiles; beforeMs: number }): Promise<number> {
  const { db, partials, beforeMs } = options;
  let swept = 0;
  for (const { upload_id: uploadId } of await staleUploads(db, beforeMs)) {
    await deleteUpload(db, uploadId);
    await partials.remove(uploadId);
    swept++;
  }
  for (const uploadId of await partials.list()) {
    if ((await uploadById(db, uploadId))?.status === 'open') continue;
    await partials.remove(uploadId);
    swept++;
  }
  return swept;
}

/**
 * At start, when nobody can upload yet: removes updates that neither a round in progress (`neededUpdates`) nor an open
 * upload (a crash came between moving its file and counting it) refers to.
 */
export async function sweepUpdates(options: {
  db: Db;
  blobs: BlobStore;
  neededUpdates: ReadonlySet<string>;
}): Promise<number> {
  const { db, blobs, neededUpdates } = options;
  const open = new Set(await openUploadHashes(db));
  let swept = 0;
  for (const sha256 of await blobsOfKind(db, 'update')) {
    if (neededUpdates.has(sha256) || open.has(sha256)) continue;
    await blobs.remove('update', sha256);
    swept++;
  }
  return swept;
}

/** Removes algorithm states that are not `needed`, which is asked right before each removal. */
export async function sweepStates(options: {
  db: Db;
  blobs: BlobStore;
  needed: (sha256: string) => boolean;
}): Promise<number> {
  const { db, blobs, needed } = options;
  let swept = 0;
  for (const sha256 of await blobsOfKind(db, 'state')) {
    if (needed(sha256)) continue;
    await blobs.remove('state', sha256);
    swept++;
  }
  return swept;
}
