import { ModelFileError } from './error.ts';
import { answerError, reasonOf } from './http-source.ts';
import { createSha256, type Sha256 } from './sha256.ts';

export interface RemoteFile {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** A file that grows: what an earlier attempt received is kept in it. Errors of its methods end the download. */
export interface PartialFile {
  readonly size: number;
  append(bytes: Uint8Array<ArrayBuffer>): void | Promise<void>;
  /** Empties it. */
  clear(): void | Promise<void>;
  /** What is in it, front to back, in pieces. */
  pieces(): Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
}

export interface DownloadOptions {
  /** Bytes of the file that are there (downloading) or checked (verifying, of what an earlier attempt left). */
  readonly onProgress?: (stage: 'downloading' | 'verifying', bytes: number) => void;
  /** Bytes that an earlier attempt left. */
  readonly onResumed?: (bytes: number) => void;
  readonly fetch?: typeof globalThis.fetch;
  readonly sleep?: (ms: number) => Promise<void>;
}

/** Attempts without a byte of progress before giving up, with growing pauses between them. */
const ATTEMPTS = 5;
const FIRST_PAUSE_MS = 500;

/**
 * Downloads one file into `target`, going on where an earlier attempt stopped (HTTP Range), and hashes it on the way. A wrong
 * hash empties the target and starts over once. Holds only what the network hands over.
 * Throws ModelFileError 'unreachable', 'hash-mismatch', or as `httpSource` for an answer that repeating does not mend.
 */
export async function downloadFile(
  url: string,
  file: RemoteFile,
  target: PartialFile,
  options: DownloadOptions = {},
): Promise<void> {
  for (let wrong = 0; ; wrong++) {
    if (target.size > file.bytes) await target.clear();
    options.onResumed?.(target.size);
    const hash = createSha256();
    let checked = 0;
    for await (const piece of target.pieces()) {
      hash.update(piece);
      checked += piece.byteLength;
      options.onProgress?.('verifying', checked);
    }
    await receive(url, file, target, hash, options);
    const got = hash.hex();
    if (got === file.sha256) return;
    await target.clear();
    if (wrong > 0) {
      throw new ModelFileError(
        'hash-mismatch',
        file.name,
        `got sha256 ${got}, expected ${file.sha256}; tell whoever offers the model`,
      );
    }
  }
}

/** Asks for what is missing until the file is complete; a broken connection is retried from where it broke. */
async function receive(
  url: string,
  file: RemoteFile,
  target: PartialFile,
  hash: Sha256,
  options: DownloadOptions,
): Promise<void> {
  const { sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)) } = options;
  let failures = 0;
  while (target.size < file.bytes) {
    const before = target.size;
    try {
      await receiveOnce(url, file, target, hash, options);
    } catch (error) {
      if (!(error instanceof ModelFileError) || error.code !== 'unreachable') throw error;
      failures = target.size > before ? 1 : failures + 1;
      if (failures >= ATTEMPTS) throw error;
      await sleep(FIRST_PAUSE_MS * 2 ** failures);
    }
  }
}

async function receiveOnce(
  url: string,
  file: RemoteFile,
  target: PartialFile,
  hash: Sha256,
  { onProgress, fetch = globalThis.fetch }: DownloadOptions,
): Promise<void> {
  const start = target.size;
  const broke = (why: string) =>
    new ModelFileError('unreachable', file.name, `broke off at byte ${target.size} of ${file.bytes} (${why})`);
  let response: Response;
  try {
    // 'no-store': the file goes to private storage; a second copy in the HTTP cache would only take its room.
    response = await fetch(url, { cache: 'no-store', headers: start > 0 ? { range: `bytes=${start}-` } : {} });
  } catch (error) {
    throw broke(reasonOf(error));
  }
  if (!response.ok || !response.body) throw answerError(file.name, url, response.status);
  // A server without range support sends the whole file: skip what is already here.
  let skip = response.status === 206 ? 0 : start;
  const reader = response.body.getReader();
  for (;;) {
    const next = await reader.read().catch((error: unknown) => {
      throw broke(reasonOf(error));
    });
    if (next.done) break;
    let bytes = next.value as Uint8Array<ArrayBuffer>;
    const skipped = Math.min(skip, bytes.byteLength);
    skip -= skipped;
    bytes = bytes.subarray(skipped);
    if (bytes.byteLength === 0) continue;
    if (target.size + bytes.byteLength > file.bytes) {
      await reader.cancel();
      throw broke('the server sent more than that');
    }
    await target.append(bytes);
    hash.update(bytes);
    onProgress?.('downloading', target.size);
  }
  if (target.size < file.bytes) throw broke('the connection ended early');
}
