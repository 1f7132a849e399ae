import { type Db, withoutSync } from './database.ts';
import { saveBitmap } from './uploads.ts';

/** Persists bitmaps of chunks in groups: whatever arrives while one transaction is written shares the next one. */
export interface BitmapWriter {
  /** Resolves when the bitmap, as it is then or later, is written: a killed process loses none of it. */
  save(uploadId: string, have: Uint8Array): Promise<void>;
}

export function createBitmapWriter(db: Db, now: () => number): BitmapWriter {
  let pending = new Map<string, Uint8Array>();
  let next: Promise<void> | undefined;
  let writing: Promise<unknown> = Promise.resolve();

  const write = async () => {
    const group = pending;
    pending = new Map();
    next = undefined;
    await withoutSync(db, async (trx) => {
      for (const [uploadId, have] of group) await saveBitmap(trx, uploadId, have, now());
    });
  };
  return {
    save(uploadId, have) {
      pending.set(uploadId, have); // the live bitmap: bits set until the group is written go with it
      if (!next) {
        next = writing.then(write);
        writing = next.catch(() => undefined);
      }
      return next;
    },
  };
}
