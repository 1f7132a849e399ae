import { mkdir, open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** Files of uploads that are not complete yet, one an upload, written at chunk offsets in any order. */
export interface PartialFiles {
  path(uploadId: string): string;
  write(uploadId: string, offset: number, bytes: Uint8Array): Promise<void>;
  remove(uploadId: string): Promise<void>;
  /** Ids of all partial files on disk. */
  list(): Promise<string[]>;
}

const SUFFIX = '.part';

export async function openPartialFiles(dataDir: string): Promise<PartialFiles> {
  const root = join(dataDir, 'uploads');
  await mkdir(root, { recursive: true });
  const path = (uploadId: string) => join(root, `${uploadId}${SUFFIX}`);
  return {
    path,
    async write(uploadId, offset, bytes) {
      const file = await openForWriting(path(uploadId));
      try {
        let written = 0;
        while (written < bytes.byteLength) {
          const { bytesWritten } = await file.write(bytes, written, bytes.byteLength - written, offset + written);
          written += bytesWritten;
        }
      } finally {
        await file.close();
      }
    },
    remove: (uploadId) => rm(path(uploadId), { force: true }),
    async list() {
      const names = await readdir(root);
      return names.filter((name) => name.endsWith(SUFFIX)).map((name) => name.slice(0, -SUFFIX.length));
    },
  };
}

/** Opens without truncating, making the file on the first chunk; several chunks may arrive at once. */
async function openForWriting(path: string) {
  try {
    return await open(path, 'r+');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return open(path, 'a').then(async (made) => {
      await made.close();
      return open(path, 'r+');
    });
  }
}
