import { type FileHandle, mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { ModelFileError } from '../quantize/error.ts';
import type { FileSink, FileSource } from '../quantize/source.ts';
import type { TuningStore } from './autotune.ts';

/** The files directly inside a directory. Throws ModelFileError 'missing-file' or 'truncated'. */
export function directorySource(path: string): FileSource {
  return {
    label: path,
    onDisk: true,
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

/** Keeps the autotuner's choices in one JSON file, written after every choice. A damaged file counts as empty. */
export function fileTuningStore(path: string): TuningStore {
  let known: Promise<Record<string, unknown>> | undefined;
  const load = (): Promise<Record<string, unknown>> => {
    known ??= readFile(path, 'utf8')
      .then((text) => JSON.parse(text) as Record<string, unknown>)
      .catch(() => ({}));
    return known;
  };
  return {
    get: async (key) => (await load())[key],
    async set(key, value) {
      const choices = await load();
      choices[key] = value;
      await mkdir(dirname(path), { recursive: true });
      await writeFile(`${path}.partial`, `${JSON.stringify(choices, null, 2)}\n`);
      await rename(`${path}.partial`, path);
    },
  };
}
