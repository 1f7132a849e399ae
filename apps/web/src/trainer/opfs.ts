import { type FileSource, ModelFileError } from '@cotune/kernels';

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

/** The part of the File System standard that TypeScript declares for Workers only. */
interface SyncAccess {
  getSize(): number;
  write(bytes: Uint8Array<ArrayBuffer>, options: { at: number }): number;
  truncate(bytes: number): void;
  flush(): void;
  close(): void;
}

/** Opens a file to append to it in place; only a Worker may do this. Close it, or it stays locked. */
export async function openAppender(folder: FileSystemDirectoryHandle, name: string) {
  const handle = (await folder.getFileHandle(name, { create: true })) as FileSystemFileHandle & {
    createSyncAccessHandle(): Promise<SyncAccess>;
  };
  const access = await handle.createSyncAccessHandle();
  let size = access.getSize();
  return {
    size: () => size,
    append(bytes: Uint8Array<ArrayBuffer>) {
      const written = access.write(bytes, { at: size });
      if (written !== bytes.byteLength) throw new DOMException('the disk took only part of it', 'QuotaExceededError');
      size += written;
    },
    truncate(bytes: number) {
      access.truncate(bytes);
      size = bytes;
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
    file.truncate(0);
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
