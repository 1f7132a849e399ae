import { readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';

const PATTERN = /\.(\d+)\.part$/;

/**
 * This process's own name for what it has received of a file so far, so that two processes never write to one file; takes
 * over what a process that is gone has left, with the note of its version (`….part.etag`).
 */
export async function claimPartial(directory: string, name: string): Promise<string> {
  const own = join(directory, `${name}.${process.pid}.part`);
  for (const found of await readdir(directory)) {
    const pid = Number(PATTERN.exec(found)?.[1] ?? 0);
    if (pid === 0 || pid === process.pid || found.replace(PATTERN, '') !== name || isAlive(pid)) continue;
    try {
      // The note first: bytes under a note of another version would be gone on with wrongly, a note alone does no harm.
      await rename(join(directory, `${found}.etag`), `${own}.etag`);
      await rename(join(directory, found), own);
    } catch {
      continue; // another process was faster, or there is no note and so nothing to go on with
    }
    break;
  }
  return own;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
