import type { ParticipantStorage } from '@cotune/fl-core';
import { findFile, openFolder, privateRoot, remove, replaceFile } from './opfs.ts';

/**
 * What must survive a reload, one file a key, below the seat's folder. Without a private file system it lives in memory: the run
 * goes on, but a reload then starts the round anew.
 */
export async function openParticipantStorage(seat: string): Promise<ParticipantStorage> {
  const root = await privateRoot();
  if (!root) return memoryStorage();
  const folder = await openFolder(root, `seats/${seat}/state`);
  const fileName = (key: string) => encodeURIComponent(key);
  return {
    async get(key) {
      const file = await findFile(folder, fileName(key));
      return file ? new Uint8Array(await file.arrayBuffer()) : undefined;
    },
    // A copy, because the bytes may lie in a shared or larger buffer.
    set: (key, value) => replaceFile(folder, fileName(key), new Uint8Array(value)),
    delete: (key) => remove(folder, fileName(key)),
  };
}

function memoryStorage(): ParticipantStorage {
  const values = new Map<string, Uint8Array>();
  return {
    get: async (key) => values.get(key),
    set: async (key, value) => void values.set(key, new Uint8Array(value)),
    delete: async (key) => void values.delete(key),
  };
}
