import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Replaces a file whole or not at all, and is on the disk when it resolves (temporary file, fsync, rename, fsync of the directory). */
export async function writeDurably(path: string, content: string | Uint8Array): Promise<void> {
  const temporary = `${path}.part`;
  await mkdir(dirname(path), { recursive: true });
  await withFile(temporary, 'w', async (file) => {
    await file.writeFile(content);
    await file.sync();
  });
  await rename(temporary, path);
  await syncDirectory(dirname(path));
}

/** The same for a directory of a few files: `fill` writes it under another name first. */
export async function writeDirectoryDurably(path: string, fill: (directory: string) => Promise<readonly string[]>) {
  const temporary = `${path}.part`;
  await rm(temporary, { recursive: true, force: true });
  for (const name of await fill(temporary)) await withFile(join(temporary, name), 'r', (file) => file.sync());
  await syncDirectory(temporary);
  await rm(path, { recursive: true, force: true });
  await rename(temporary, path);
  await syncDirectory(dirname(path));
}

/** The text of a file; undefined when there is none, also where its directory is a file. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}

const syncDirectory = (path: string): Promise<void> => withFile(path, 'r', (directory) => directory.sync());

async function withFile(path: string, flags: string, use: (file: Awaited<ReturnType<typeof open>>) => Promise<void>) {
  const file = await open(path, flags);
  try {
    await use(file);
  } finally {
    await file.close();
  }
}
