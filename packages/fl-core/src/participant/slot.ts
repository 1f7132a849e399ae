import type { ParticipantStorage } from './participant.ts';

/** One value of a participant's storage, e.g. where a trainer keeps its checkpoint. */
export interface StorageSlot {
  get(): Promise<Uint8Array | undefined>;
  set(value: Uint8Array): Promise<void>;
  delete(): Promise<void>;
}

export function storageSlot(storage: ParticipantStorage, key: string): StorageSlot {
  return {
    get: () => storage.get(key),
    set: (value) => storage.set(key, value),
    delete: () => storage.delete(key),
  };
}
