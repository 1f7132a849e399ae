import { createHash, randomUUID } from 'node:crypto';
import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** What the locks of this process say. */
const held = new Set<string>();

/**
 * Claims a data directory for this process; returns how to give it free. Throws when another living process has it, or this
 * one already. What a killed process left behind is taken over, by one of those that find it.
 */
export async function lockDataDir(dataDir: string): Promise<() => Promise<void>> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST' && error.code !== 'ENOTDIR') throw error;
    throw new Error(`${dataDir} is not a directory: choose another data directory`);
  });
  const path = join(dataDir, 'coordinator.lock');
  const own = `${process.pid}\n${randomUUID()}\n`;
  held.add(own);
  try {
    const holder = await claim(path, own, isAlive);
    if (holder !== null)
      throw new Error(`${dataDir} is in use by process ${pidOf(holder)}: stop it, or choose another data directory`);
  } catch (error) {
    held.delete(own);
    throw error;
  }
  return async () => {
    await rm(path, { force: true });
    held.delete(own);
  };
}

/** More than enough, unless something is there that can be neither made nor read, such as a link to nothing. */
const ATTEMPTS = 1000;

/**
 * Makes a file with the content `own` the only one at `path`; null when that is done, else the content of the living holder's.
 * `own` must be like no other ever. A dead holder's file is replaced by who has claimed, in the same way, a second file that is named
 * after its content: so there is one at a time who may, and who comes later finds another content and begins again.
 */
export async function claim(path: string, own: string, isAlive: (holder: string) => boolean): Promise<string | null> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    if (await publish(path, own, link)) return null;
    const holder = await contentOf(path);
    if (holder === undefined) continue; // given free in between
    if (isAlive(holder)) return holder;
    const succession = `${path}.${createHash('sha256').update(holder).digest('hex').slice(0, 16)}`;
    const rival = await claim(succession, own, isAlive);
    if (rival !== null) return rival;
    try {
      if ((await contentOf(path)) === holder && (await publish(path, own, rename))) return null;
    } finally {
      await rm(succession, { force: true });
    }
  }
  throw new Error(`${path} was given free and taken ${ATTEMPTS} times meanwhile: try again, or remove it`);
}

/** File systems without hard links, such as exFAT. */
const NO_LINKS = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'];

/** Puts a file in its place with its content, at once: nobody reads half of it. False where one is there that must not be replaced. */
async function publish(path: string, content: string, place: typeof link | typeof rename): Promise<boolean> {
  const temporary = `${path}.${randomUUID()}.part`;
  try {
    await writeFile(temporary, content, { mode: 0o600 });
    await place(temporary, path).catch(async (error: NodeJS.ErrnoException) => {
      if (place !== link || !NO_LINKS.includes(error.code ?? '')) throw error;
      await writeFile(path, content, { mode: 0o600, flag: 'wx' }); // not quite at once, but the best there is
    });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(temporary, { force: true });
  }
}

async function contentOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

const pidOf = (holder: string): number => Number.parseInt(holder, 10);

/** A container's restarted process may have the number of the one that was killed: its own number is no other process. */
function isAlive(holder: string): boolean {
  const pid = pidOf(holder);
  if (pid === process.pid) return held.has(holder);
  if (!Number.isInteger(pid)) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
