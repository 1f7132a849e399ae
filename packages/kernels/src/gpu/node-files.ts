import { type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { ModelFileError } from '../quantize/error.ts';
import type { FileSink, FileSource } from '../quantize/source.ts';

/** The files directly inside a directory. Throws ModelFileError 'missing-file' or 'truncated'. */
export function directorySource(path: string): FileSource {
  return {
    label: path,
    async size(name) {
      const found = await stat(inside(path, name)).catch(() => undefined);
      return found?.isFile() ? found.size : undefined;
    },
    async read(name, start = 0, end, into) {
      const full = inside(path, name);
      let file: FileHandle;
      try {
        file = await open(full);
      } catch (error) {
        throw new ModelFileError('missing-file', name, `cannot be opened in ${path} (${(error as Error).message})`);
      }
      try {
        const length = (end ?? (await file.stat()).size) - start;
        const bytes = into ? into.subarray(0, length) : new Uint8Array(length);
        let filled = 0;
        while (filled < bytes.byteLength) {
          const { bytesRead } = await file.read(bytes, filled, bytes.byteLength - filled, start + filled);
          if (bytesRead === 0) {
            throw new ModelFileError(
              'truncated',
              name,
              `ends at byte ${start + filled}, expected ${start + bytes.byteLength}; download the file again`,
            );
          }
          filled += bytesRead;
        }
        return bytes;
      } finally {
        await file.close();
      }
    },
  };
}

/** Writes files into a directory, which is made when needed. A file appears under its name when it is closed. */
export function directorySink(path: string): FileSink {
  const handles = new Map<string, FileHandle>();
  const partial = (name: string): string => `${inside(path, name)}.partial`;
  const handle = async (name: string): Promise<FileHandle> => {
    const known = handles.get(name);
    if (known) return known;
    await mkdir(path, { recursive: true });
    const opened = await open(partial(name), 'w');
    handles.set(name, opened);
    return opened;
  };
  return {
    label: path,
    async append(name, bytes) {
      const file = await handle(name);
      let written = 0;
      while (written < bytes.byteLength) written += (await file.write(bytes, written)).bytesWritten;
    },
    async close(name) {
      const file = await handle(name);
      handles.delete(name);
      await file.sync();
      await file.close();
      await rename(partial(name), inside(path, name));
    },
    remove: (name) => rm(inside(path, name), { force: true }),
  };
}

function inside(path: string, name: string): string {
  if (name !== basename(name) || name === '..' || name === '.') {
    throw new ModelFileError('malformed', name, 'is not a plain file name');
  }
  return join(path, name);
}
