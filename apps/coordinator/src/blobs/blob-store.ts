import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type BlobRef, FlError } from '@cotune/fl-core';
import { inTurn } from '../in-turn.ts';
import { blobRow, deleteBlobRow, insertBlob } from '../store/blob-rows.ts';
import { type Db, withoutSync } from '../store/database.ts';
import type { BlobKind } from '../store/schema.ts';

/** A blob being read in slices. */
export interface BlobFile {
  read(offsetBytes: number, lengthBytes: number): Promise<Uint8Array<ArrayBuffer>>;
  close(): Promise<void>;
}

/** Content-addressed files: a blob's name is the SHA-256 of its bytes, so writing one twice is harmless. */
export interface BlobStore {
  /** Writes temp → fsync → rename → row. */
  put(kind: BlobKind, bytes: Uint8Array): Promise<BlobRef>;
  /** Moves a complete, already hashed file into place. */
  adopt(kind: BlobKind, path: string, sha256: string, bytes: number): Promise<BlobRef>;
  /** The bytes, their hash checked again. Throws FlError 'not-found' or 'wrong-hash'. */
  read(sha256: string): Promise<Uint8Array<ArrayBuffer>>;
  /** For reading in slices. Throws FlError 'not-found'. */
  open(sha256: string): Promise<BlobFile>;
  /** Path and size for serving, when the blob exists and is of this kind. */
  find(kind: BlobKind, sha256: string): Promise<{ path: string; bytes: number } | undefined>;
  /** Removes the blob if it is of this kind: an update may have the same bytes as an adapter, which stays. */
  remove(kind: BlobKind, sha256: string): Promise<void>;
  /** Removes temporary files that a crash left behind. */
  clean(): Promise<void>;
}

export async function openBlobStore(db: Db, dataDir: string, now: () => number): Promise<BlobStore> {
  const root = join(dataDir, 'blobs');
  const temporary = join(dataDir, 'tmp');
  await mkdir(root, { recursive: true });
  await mkdir(temporary, { recursive: true });
  const pathOf = (sha256: string) => join(root, sha256.slice(0, 2), sha256);
  /** Of every blob one change at a time: a removal between a file's move and its row would leave a row without a file. */
  const changes = new Map<string, Promise<unknown>>();

  const move: BlobStore['adopt'] = async (kind, path, sha256, bytes) => {
    const target = pathOf(sha256);
    if (await mkdir(dirname(target), { recursive: true })) await syncFile(root); // a new directory is an entry of its own
    await syncFile(path);
    await rename(path, target);
    await syncFile(dirname(target));
    // Whatever refers to the blob is written later, and takes this row to the disk with it.
    await withoutSync(db, (trx) => insertBlob(trx, { sha256, kind, bytes, atMs: now() }));
    return { url: `/api/adapters/${sha256}`, sha256, bytes };
  };

  const adopt: BlobStore['adopt'] = (kind, path, sha256, bytes) =>
    inTurn(changes, sha256, () => move(kind, path, sha256, bytes));

  return {
    adopt,
    async put(kind, bytes) {
      const path = join(temporary, randomUUID());
      const file = await open(path, 'wx', 0o600);
      try {
        await file.writeFile(bytes);
      } finally {
        await file.close();
      }
      return adopt(kind, path, createHash('sha256').update(bytes).digest('hex'), bytes.byteLength);
    },
    async read(sha256) {
      const raw = await readFile(pathOf(sha256)).catch(missing(sha256));
      const actual = createHash('sha256').update(raw).digest('hex');
      if (actual !== sha256)
        throw new FlError('wrong-hash', `blob ${sha256} on disk hashes to ${actual}: the file was damaged`);
      return new Uint8Array(raw); // readFile may hand out a slice of a pool; a copy is aligned
    },
    async open(sha256) {
      const file = await open(pathOf(sha256)).catch(missing(sha256));
      return {
        async read(offsetBytes, lengthBytes) {
          const bytes = new Uint8Array(lengthBytes);
          let filled = 0;
          while (filled < lengthBytes) {
            const { bytesRead } = await file.read(bytes, filled, lengthBytes - filled, offsetBytes + filled);
            if (bytesRead === 0)
              throw new FlError('wrong-shape', `blob ${sha256} ends at byte ${offsetBytes + filled}`);
            filled += bytesRead;
          }
          return bytes;
        },
        close: () => file.close(),
      };
    },
    async find(kind, sha256) {
      if (!/^[0-9a-f]{64}$/.test(sha256)) return undefined;
      const row = await blobRow(db, sha256);
      return row?.kind === kind ? { path: pathOf(sha256), bytes: row.bytes } : undefined;
    },
    remove: (kind, sha256) =>
      inTurn(changes, sha256, async () => {
        if (await deleteBlobRow(db, kind, sha256)) await rm(pathOf(sha256), { force: true });
      }),
    async clean() {
      for (const name of await readdir(temporary)) await rm(join(temporary, name), { force: true });
    },
  };
}

/** Says that a blob is not there only if so: too many open files or a failing disk are not the blob's absence. */
const missing = (sha256: string) => (error: NodeJS.ErrnoException) => {
  if (error.code === 'ENOENT') throw new FlError('not-found', `blob ${sha256} is not on disk`);
  throw error;
};

async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** SHA-256 of a file, read as a stream so that memory does not grow with it and the event loop keeps turning. */
export async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
