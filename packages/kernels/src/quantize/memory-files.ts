import { ModelFileError } from './error.ts';
import type { FileSink, FileSource } from './source.ts';

/** Files held in memory, e.g. those a person dropped on the page. Texts are encoded as UTF-8. */
export function memorySource(files: Readonly<Record<string, Uint8Array | string>>, label = 'memory'): FileSource {
  const entries = new Map(
    Object.entries(files).map(([name, file]) => [
      name,
      typeof file === 'string' ? new TextEncoder().encode(file) : file,
    ]),
  );
  return {
    label,
    size: async (name) => entries.get(name)?.byteLength,
    async read(name, start = 0, end) {
      const file = entries.get(name);
      if (!file) throw new ModelFileError('missing-file', name, `not found in ${label}`);
      return new Uint8Array(file.subarray(start, end ?? file.byteLength));
    },
  };
}

/** A sink into memory; `files()` gives what has been closed. */
export function memorySink(label = 'memory'): FileSink & { files(): Record<string, Uint8Array<ArrayBuffer>> } {
  const open = new Map<string, Uint8Array<ArrayBuffer>[]>();
  const closed: Record<string, Uint8Array<ArrayBuffer>> = {};
  return {
    label,
    async append(name, bytes) {
      const parts = open.get(name) ?? [];
      parts.push(new Uint8Array(bytes));
      open.set(name, parts);
    },
    async close(name) {
      closed[name] = concatenate(open.get(name) ?? []);
      open.delete(name);
    },
    async remove(name) {
      delete closed[name];
    },
    files: () => ({ ...closed }),
  };
}

/** Joins byte arrays into one buffer; a single one is returned as it is. */
export function concatenate(parts: readonly Uint8Array<ArrayBuffer>[]): Uint8Array<ArrayBuffer> {
  if (parts.length === 1 && parts[0]) return parts[0];
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.byteLength;
  }
  return joined;
}
