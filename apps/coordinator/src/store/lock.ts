import { mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Claims a data directory for this process; returns how to give it free. Throws when another living process has it. What a
 * killed process left behind is taken over.
 */
export async function lockDataDir(dataDir: string): Promise<() => Promise<void>> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST' && error.code !== 'ENOTDIR') throw error;
    throw new Error(`${dataDir} is not a directory: choose another data directory`);
  });
  const path = join(dataDir, 'coordinator.lock');
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      const file = await open(path, 'wx', 0o600);
      await file.writeFile(`${process.pid}\n`);
      await file.close();
      return () => rm(path, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      const pid = Number.parseInt(await readFile(path, 'utf8').catch(() => ''), 10);
      if (isAlive(pid)) {
        throw new Error(`${dataDir} is in use by process ${pid}: stop it, or choose another data directory`);
      }
      await rm(path, { force: true });
    }
  }
  throw new Error(`${dataDir} is being claimed by another process: choose another data directory`);
}

/** A container's restarted process may have the number of the one that was killed: its own number is no other process. */
function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
