import { existsSync } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  downloadFile,
  httpSource,
  type PartialFile,
  parseManifest,
  type RemoteFile,
  sha256Hex,
  type Transfer,
  transferMeter,
} from '@cotune/kernels';

const PIECE_BYTES = 2 ** 20;

/**
 * Downloads a model directory into `cacheDir`, shard by shard, each hashed on its way to the disk. What is there already is
 * not fetched again, and what a killed process left of a shard is gone on with. Returns the local directory.
 * Throws ModelFileError as `downloadFile`.
 */
export async function cacheModel(
  url: URL,
  cacheDir: string,
  onProgress: (progress: Transfer) => void,
): Promise<string> {
  const manifestBytes = await httpSource(url.href).read('model.json');
  const { shards, tokenizer } = parseManifest(JSON.parse(new TextDecoder().decode(manifestBytes)));
  const directory = join(cacheDir, (await sha256Hex(manifestBytes)).slice(0, 32));
  await mkdir(directory, { recursive: true });
  const files = [...shards, tokenizer].map(({ file, bytes, sha256 }) => ({ name: file, bytes, sha256 }));
  const meter = transferMeter(files.reduce((sum, file) => sum + file.bytes, 0));
  let before = 0;
  let cachedBytes = 0;
  for (const file of files) {
    if (existsSync(join(directory, file.name))) cachedBytes += file.bytes;
    else {
      await cacheFile(new URL(file.name, url).href, directory, file, {
        onResumed: (bytes) => {
          cachedBytes += bytes;
        },
        onProgress: (_, bytes) => onProgress(meter.update(before + bytes, cachedBytes)),
      });
    }
    before += file.bytes;
    onProgress(meter.update(before, cachedBytes));
  }
  const unfinished = join(directory, `model.json.${process.pid}.part`);
  await writeFile(unfinished, manifestBytes);
  await rename(unfinished, join(directory, 'model.json'));
  return directory;
}

async function cacheFile(
  url: string,
  directory: string,
  file: RemoteFile,
  options: { onResumed(bytes: number): void; onProgress(stage: string, bytes: number): void },
): Promise<void> {
  const path = await claimPartial(directory, file.name);
  const handle = await open(path, 'a+');
  try {
    await downloadFile(url, file, await partialFile(handle), options);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(path, join(directory, file.name));
}

/** Name of this process's own partial file; takes over the one that a process which is gone has left. */
async function claimPartial(directory: string, name: string): Promise<string> {
  const own = `${name}.${process.pid}.part`;
  const pattern = /\.(\d+)\.part$/;
  for (const found of await readdir(directory)) {
    const pid = Number(pattern.exec(found)?.[1] ?? 0);
    if (pid === 0 || found === own || found.replace(pattern, '') !== name || isAlive(pid)) continue;
    // Another process may be faster: then there is nothing left to take.
    await rename(join(directory, found), join(directory, own)).catch(() => {});
    break;
  }
  return join(directory, own);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

async function partialFile(handle: FileHandle): Promise<PartialFile> {
  let { size } = await handle.stat();
  return {
    get size() {
      return size;
    },
    async append(bytes) {
      let written = 0;
      while (written < bytes.byteLength) written += (await handle.write(bytes, written)).bytesWritten;
      size += bytes.byteLength;
    },
    async clear() {
      await handle.truncate(0);
      size = 0;
    },
    async *pieces() {
      const buffer = new Uint8Array(Math.min(size, PIECE_BYTES));
      for (let at = 0; at < size; ) {
        const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.byteLength, size - at), at);
        yield buffer.subarray(0, bytesRead);
        at += bytesRead;
      }
    },
  };
}
