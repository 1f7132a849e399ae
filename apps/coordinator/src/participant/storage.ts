import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ParticipantStorage } from '@cotune/fl-core';

/** Files in a directory; a value is replaced whole or not at all (temp, fsync, rename). */
export function fileStorage(directory: string): ParticipantStorage {
  const path = (key: string) => join(directory, encodeURIComponent(key));
  return {
    async get(key) {
      try {
        return new Uint8Array(await readFile(path(key)));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
        throw error;
      }
    },
    async set(key, value) {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      const temporary = `${path(key)}.part`;
      try {
        const file = await open(temporary, 'w', 0o600);
        try {
          await file.writeFile(value);
          await file.sync();
        } finally {
          await file.close();
        }
        await rename(temporary, path(key));
      } catch (error) {
        await rm(temporary, { force: true }); // on a full disk it would take the room of what matters more
        throw error;
      }
    },
    async delete(key) {
      for (const file of [path(key), `${path(key)}.part`]) await rm(file, { force: true });
    },
  };
}
