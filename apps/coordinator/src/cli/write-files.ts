import { randomUUID } from 'node:crypto';
import { closeSync, fstatSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { UserError } from './output.ts';

/** Makes the directory and writes to it, so that hours of work do not end at its door. Throws UserError. */
export async function requireWritable(directory: string): Promise<void> {
  const there = await stat(directory).catch(() => undefined);
  if (there && !there.isDirectory()) throw new UserError(`${directory} is not a directory`);
  const probe = join(directory, `.cotune-probe-${randomUUID()}`);
  try {
    await makeDirectory(resolve(directory));
    await (await open(probe, 'wx')).close();
    await rm(probe);
  } catch (error) {
    throw new UserError(`cannot write to ${directory}: ${(error as Error).message}`);
  }
}

/** mkdir -p. Node's own never ends where a parent is there and yet takes no directory, as in /proc. */
async function makeDirectory(path: string): Promise<void> {
  if ((await stat(path).catch(() => undefined))?.isDirectory()) return;
  if (dirname(path) !== path) await makeDirectory(dirname(path));
  await mkdir(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error; // another process was faster
  });
}

/**
 * Replaces a file whole or not at all, in a directory that is there; a device or a pipe is written to. Throws UserError, which
 * names the file.
 */
export async function writeWhole(path: string, content: string | Uint8Array): Promise<void> {
  const there = await stat(path).catch(() => undefined);
  const inPlace = there !== undefined && !there.isFile();
  const temporary = inPlace ? path : `${path}.${randomUUID()}.part`;
  try {
    const file = await open(temporary, inPlace ? 'w' : 'wx');
    try {
      await file.writeFile(content);
      if (!inPlace) await file.sync();
    } finally {
      await file.close();
    }
    if (!inPlace) await rename(temporary, path);
  } catch (error) {
    if (!inPlace) await rm(temporary, { force: true }).catch(() => undefined);
    throw new UserError(`cannot write ${path}: ${(error as Error).message}`);
  }
}

export interface JsonLog {
  write(record: object): void;
  close(): void;
}

/**
 * Records as lines of a file; does nothing without a path. Unless they are to be appended, the first one takes the place of what
 * the file held. Throws UserError when the file cannot be opened, and for a record that cannot be written.
 */
export function jsonLog(path: string | undefined, { append = false } = {}): JsonLog {
  if (path === undefined) return { write() {}, close() {} };
  const attempt = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      throw new UserError(`cannot write the log ${path}: ${(error as Error).message}`);
    }
  };
  const file = attempt(() => openSync(path, 'a'));
  let keeps = append || !fstatSync(file).isFile();
  return {
    write(record) {
      attempt(() => {
        if (!keeps) ftruncateSync(file);
        keeps = true;
        const line = Buffer.from(`${JSON.stringify(record)}\n`);
        for (let done = 0; done < line.length; ) done += writeSync(file, line, done);
      });
    },
    close: () => attempt(() => closeSync(file)),
  };
}
