import { ModelFileError, sha256Hex } from '@cotune/kernels';
import type { DownloadProgress } from './messages.ts';
import { findFile, openAppender, remove } from './opfs.ts';

export interface RemoteFile {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** Attempts at one file before giving up, with growing pauses between them. */
const ATTEMPTS = 5;
const FIRST_PAUSE_MS = 500;

/**
 * Downloads one file and checks its SHA-256: into `folder`, going on where an earlier attempt or visit stopped (HTTP Range), or
 * into memory when there is no folder, which is the only case in which the bytes are returned. A wrong hash discards the file and
 * starts over once.
 */
export async function downloadFile(
  folder: FileSystemDirectoryHandle | null,
  url: string,
  file: RemoteFile,
  report: (stage: DownloadProgress['stage'], bytes: number) => void,
  onResumed: (bytes: number) => void,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  for (let wrong = 0; ; wrong++) {
    const kept = folder ? await intoFolder(folder, url, file, report, onResumed) : await intoMemory(url, file, report);
    report('verifying', file.bytes);
    const bytes =
      kept ??
      new Uint8Array((await (await findFile(folder as FileSystemDirectoryHandle, file.name))?.arrayBuffer()) ?? []);
    const got = await sha256Hex(bytes);
    if (got === file.sha256) return kept;
    if (folder) await remove(folder, file.name);
    if (wrong > 0) {
      throw new ModelFileError(
        'hash-mismatch',
        file.name,
        `got sha256 ${got}, expected ${file.sha256}; tell the organiser`,
      );
    }
  }
}

async function intoFolder(
  folder: FileSystemDirectoryHandle,
  url: string,
  file: RemoteFile,
  report: (stage: DownloadProgress['stage'], bytes: number) => void,
  onResumed: (bytes: number) => void,
): Promise<undefined> {
  const target = await openAppender(folder, file.name);
  try {
    if (target.size() > file.bytes) target.truncate(0);
    onResumed(target.size());
    await receive(url, file, target.size, (bytes) => {
      target.append(bytes);
      report('downloading', target.size());
    });
  } finally {
    target.close();
  }
}

async function intoMemory(
  url: string,
  file: RemoteFile,
  report: (stage: DownloadProgress['stage'], bytes: number) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  await receive(
    url,
    file,
    () => size,
    (bytes) => {
      parts.push(bytes);
      size += bytes.byteLength;
      report('downloading', size);
    },
  );
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

/** Asks for what is missing until the file is complete; a broken connection is retried from where it broke. */
async function receive(
  url: string,
  file: RemoteFile,
  have: () => number,
  append: (bytes: Uint8Array<ArrayBuffer>) => void,
): Promise<void> {
  let failures = 0;
  while (have() < file.bytes) {
    const before = have();
    try {
      await receiveOnce(url, file, before, append);
    } catch (error) {
      if (error instanceof DOMException && error.name === 'QuotaExceededError') throw error;
      failures = have() > before ? 1 : failures + 1;
      if (failures >= ATTEMPTS) {
        throw new ModelFileError(
          'unreachable',
          file.name,
          `broke off at byte ${have()} of ${file.bytes} (${(error as Error).message})`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, FIRST_PAUSE_MS * 2 ** failures));
    }
  }
}

async function receiveOnce(
  url: string,
  file: RemoteFile,
  start: number,
  append: (bytes: Uint8Array<ArrayBuffer>) => void,
) {
  // 'no-store': the file goes to private storage; a second copy in the HTTP cache would only take its room.
  const response = await fetch(url, { cache: 'no-store', headers: start > 0 ? { range: `bytes=${start}-` } : {} });
  if (!response.ok || !response.body) throw new Error(`the server answered ${response.status}`);
  // A server without range support sends the whole file: skip what is already here.
  let skip = response.status === 206 ? 0 : start;
  let left = file.bytes - start;
  const reader = response.body.getReader();
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    let bytes = next.value as Uint8Array<ArrayBuffer>;
    if (skip > 0) {
      const skipped = Math.min(skip, bytes.byteLength);
      skip -= skipped;
      bytes = bytes.subarray(skipped);
    }
    if (bytes.byteLength > left) throw new Error(`the server sent more than ${file.bytes} bytes`);
    if (bytes.byteLength > 0) append(bytes);
    left -= bytes.byteLength;
  }
  if (left > 0) throw new Error(`the connection ended ${left} bytes early`);
}
