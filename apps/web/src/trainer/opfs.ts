import { type FileSink, type FileSource, ModelFileError, type PartialFile } from '@cotune/kernels';
import { formatBytes } from '../ui/units.ts';

/** The tab's private file system, or null where the browser has none (some private windows). */
export async function privateRoot(): Promise<FileSystemDirectoryHandle | null> {
  try {
    return (await navigator.storage?.getDirectory?.()) ?? null;
  } catch {
    return null;
  }
}

/** A folder below the root, made when missing. `path` has names separated by '/'. */
export async function openFolder(root: FileSystemDirectoryHandle, path: string): Promise<FileSystemDirectoryHandle> {
  let folder = root;
  for (const name of path.split('/')) folder = await folder.getDirectoryHandle(name, { create: true });
  return folder;
}

/** The file, or null when it is not there. */
export async function findFile(folder: FileSystemDirectoryHandle, name: string): Promise<File | null> {
  try {
    return await (await folder.getFileHandle(name)).getFile();
  } catch (error) {
    if (error instanceof DOMException && error.name === 'NotFoundError') return null;
    throw error;
  }
}

/** The part of the File System standard that TypeScript declares for Workers only, or not yet. */
interface SyncAccess {
  getSize(): number;
  read(into: Uint8Array<ArrayBuffer>, options: { at: number }): number;
  write(bytes: Uint8Array<ArrayBuffer>, options: { at: number }): number;
  truncate(bytes: number): void;
  flush(): void;
  close(): void;
}
interface WorkerFileHandle extends FileSystemFileHandle {
  createSyncAccessHandle(): Promise<SyncAccess>;
  move(name: string): Promise<void>;
}

const PIECE_BYTES = 2 ** 20;

/** Opens a file to append to it in place; only a Worker may do this. Close it, or it stays locked. */
export async function openAppender(
  folder: FileSystemDirectoryHandle,
  name: string,
): Promise<PartialFile & { clear(): void; append(bytes: Uint8Array<ArrayBuffer>): void; close(): void }> {
  const handle = (await folder.getFileHandle(name, { create: true })) as WorkerFileHandle;
  const access = await handle.createSyncAccessHandle();
  let size = access.getSize();
  return {
    get size() {
      return size;
    },
    append(bytes) {
      const written = access.write(bytes, { at: size });
      if (written !== bytes.byteLength) throw new DOMException('the disk took only part of it', 'QuotaExceededError');
      size += written;
    },
    clear() {
      access.truncate(0);
      size = 0;
    },
    *pieces() {
      const buffer = new Uint8Array(Math.min(size, PIECE_BYTES));
      for (let at = 0; at < size; at += buffer.byteLength) {
        yield buffer.subarray(0, access.read(buffer.subarray(0, size - at), { at }));
      }
    },
    close() {
      access.flush();
      access.close();
    },
  };
}

/** Writes a whole file. */
export async function writeFile(folder: FileSystemDirectoryHandle, name: string, bytes: Uint8Array<ArrayBuffer>) {
  const file = await openAppender(folder, name);
  try {
    file.clear();
    file.append(bytes);
  } finally {
    file.close();
  }
}

/** Replaces a file whole, or leaves the old one where the tab ends in between (except in browsers that cannot, Safari before 26). */
export async function replaceFile(folder: FileSystemDirectoryHandle, name: string, bytes: Uint8Array<ArrayBuffer>) {
  const handle = await folder.getFileHandle(name, { create: true });
  if (!('createWritable' in handle)) return writeFile(folder, name, bytes);
  const swap = await handle.createWritable();
  await swap.write(bytes);
  await swap.close();
}

/** Removes a file or folder with all in it; nothing happens when it is not there. */
export async function remove(folder: FileSystemDirectoryHandle, name: string): Promise<void> {
  try {
    await folder.removeEntry(name, { recursive: true });
  } catch (error) {
    if (!(error instanceof DOMException && error.name === 'NotFoundError')) throw error;
  }
}

/** Read access to a folder, for the model reader. */
export function folderSource(folder: FileSystemDirectoryHandle): FileSource {
  return {
    label: 'this browser’s storage',
    size: async (name) => (await findFile(folder, name))?.size,
    async read(name, start = 0, end) {
      const file = await findFile(folder, name);
      if (!file)
        throw new ModelFileError(
          'missing-file',
          name,
          'is gone from this browser’s storage; reload to download it again',
        );
      return new Uint8Array(await file.slice(start, end ?? file.size).arrayBuffer());
    },
  };
}

/** Write access to a folder, for the quantiser; only in a Worker. A file has its name once it is closed. */
export function folderSink(folder: FileSystemDirectoryHandle): FileSink {
  const open = new Map<string, Awaited<ReturnType<typeof openAppender>>>();
  const partial = (name: string) => `${name}.partial`;
  return {
    label: 'this browser’s storage',
    async append(name, bytes) {
      let file = open.get(name);
      if (!file) {
        file = await openAppender(folder, partial(name));
        file.clear();
        open.set(name, file);
      }
      file.append(new Uint8Array(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength));
    },
    async close(name) {
      open.get(name)?.close();
      open.delete(name);
      await remove(folder, name);
      await ((await folder.getFileHandle(partial(name))) as WorkerFileHandle).move(name);
    },
    remove: (name) => remove(folder, name),
  };
}

/** Refuses before anything is written when `neededBytes` more do not fit into what the browser lets this site keep. */
export async function requireRoom(neededBytes: number): Promise<void> {
  const freeBytes = await freeRoom();
  if (freeBytes !== null && freeBytes < neededBytes) throw storageFull(neededBytes, freeBytes);
}

/** What was thrown, or, when it says that the storage is full, a sentence about needed and free. */
export async function explainFull(error: unknown, neededBytes: number): Promise<unknown> {
  const full = error instanceof DOMException && error.name === 'QuotaExceededError';
  return full ? storageFull(neededBytes, await freeRoom()) : error;
}

/** Bytes this site may still store; null where the browser does not say. */
async function freeRoom(): Promise<number | null> {
  const estimate = await navigator.storage?.estimate?.().catch(() => undefined);
  return estimate?.quota === undefined ? null : Math.max(0, estimate.quota - (estimate.usage ?? 0));
}

function storageFull(neededBytes: number, freeBytes: number | null): ModelFileError {
  // What a browser promises may be more than the disk takes.
  const short = freeBytes !== null && freeBytes < neededBytes;
  const free = short ? `, but it lets this site store only ${formatBytes(freeBytes)} more` : ', which is full';
  return new ModelFileError(
    'storage-full',
    'model',
    `needs ${formatBytes(neededBytes)} of this browser’s storage${free}: free some space on this disk or in the browser’s ` +
      'settings (site data), leave private browsing, then try again',
  );
}
