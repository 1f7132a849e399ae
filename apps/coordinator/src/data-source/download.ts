import { existsSync } from 'node:fs';
import { type FileHandle, mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { hashFile } from '../blobs/blob-store.ts';
import { UserError } from '../cli/output.ts';
import { claimPartial } from './partial-name.ts';

/** What a download left beside its file, as `NAME.json`. */
export interface DownloadRecord {
  readonly url: string;
  readonly bytes: number;
  readonly sha256: string;
  /** The server's name for this version of the file, if it gives one. */
  readonly etag: string | null;
}

export interface DownloadOptions {
  /** Bytes there, and of how many; null while the server does not say. */
  readonly onProgress?: ((doneBytes: number, totalBytes: number | null) => void) | undefined;
  readonly onRetry?: ((reason: string, pauseMs: number) => void) | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly fetch?: typeof globalThis.fetch | undefined;
  readonly sleep?: ((ms: number) => Promise<void>) | undefined;
  /** Asks whether the file has changed since it was downloaded; what cannot be asked is taken as it is. */
  readonly revalidate?: boolean | undefined;
}

/** Attempts without a byte of progress before giving up, with growing pauses between them. */
const ATTEMPTS = 5;
const FIRST_PAUSE_MS = 500;
const PASSING = new Set([408, 425, 429, 500, 502, 503, 504]);

/** Worth asking again: no connection, one that broke, a busy server. */
class PassingFailure extends Error {}

/**
 * The file at `path`, downloaded from `url` if it is not there. What an earlier attempt received is gone on with, as long
 * as the server still has the same version (HTTP Range with If-Range); size and SHA-256 are recorded beside it. A file that
 * someone put at `path` by hand is used as it is. Throws UserError, which says where that would be.
 */
export async function downloadTo(path: string, url: string, options: DownloadOptions = {}): Promise<void> {
  const known = existsSync(path);
  if (known && !options.revalidate) return;
  const previous = known ? await readRecord(path) : undefined;
  if (known && !previous) return;
  const etag = previous && (await isOf(path, previous)) ? previous.etag : null;
  try {
    await download(path, url, etag, options);
  } catch (error) {
    if (!(error instanceof PassingFailure)) throw error;
    if (known) return;
    throw new UserError(`${error.message}; or put the file at ${path} by hand`);
  }
}

async function download(path: string, url: string, etag: string | null, options: DownloadOptions): Promise<void> {
  const { sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)) } = options;
  await mkdir(dirname(path), { recursive: true });
  const partial = await claimPartial(dirname(path), basename(path));
  for (let failures = 0; ; ) {
    const before = await sizeOf(partial);
    try {
      const version = await receive(partial, url, path, etag, options);
      if (version) await finish(partial, path, url, version.etag);
      return;
    } catch (error) {
      if (!(error instanceof PassingFailure)) throw asWriteFailure(error, path);
      failures = (await sizeOf(partial)) > before ? 1 : failures + 1;
      if (failures >= ATTEMPTS || existsSync(path)) throw error;
      const pauseMs = FIRST_PAUSE_MS * 2 ** failures;
      options.onRetry?.(error.message, pauseMs);
      await sleep(pauseMs);
    }
  }
}

/** What the system says of a failed write names no file. */
function asWriteFailure(error: unknown, path: string): unknown {
  const { syscall, message } = error as NodeJS.ErrnoException;
  return syscall === 'write' || syscall === 'fsync' ? new UserError(`cannot write ${path}: ${message}`) : error;
}

/** Receives what is missing of the partial file; undefined when the server says that `path` is still what it has. */
async function receive(
  partial: string,
  url: string,
  path: string,
  knownEtag: string | null,
  { fetch = globalThis.fetch, headers, onProgress }: DownloadOptions,
): Promise<{ etag: string | null } | undefined> {
  const validator = `${partial}.etag`;
  const started = existsSync(validator) ? await readFile(validator, 'utf8') : null;
  const start = await sizeOf(partial);
  // Without a name for the version, nothing tells that the rest would be of the same: all of it is asked for.
  const range: Record<string, string> = started && start > 0 ? { range: `bytes=${start}-`, 'if-range': started } : {};
  const conditional: Record<string, string> = knownEtag ? { 'if-none-match': knownEtag } : {};
  let response: Response;
  try {
    // 'identity': compressed on its way, a file has no length that can be gone on from.
    response = await fetch(url, { headers: { 'accept-encoding': 'identity', ...headers, ...range, ...conditional } });
  } catch (error) {
    throw new PassingFailure(`${url} could not be reached (${reasonOf(error)})`);
  }
  if (response.status === 304) return undefined;
  if (response.status === 416) {
    await response.body?.cancel();
    await rm(partial, { force: true });
    throw new PassingFailure(`${url} no longer has the part that is missing`);
  }
  if (!response.ok || !response.body) {
    await response.body?.cancel();
    throw answerError(url, response.status, path);
  }
  const etag = strongEtag(response.headers.get('etag'));
  const from = response.status === 206 ? start : 0;
  const length = response.headers.get('content-length');
  const total = length === null ? null : from + Number(length);
  const handle = await open(partial, from > 0 ? 'r+' : 'w');
  try {
    if (etag) await writeFile(validator, etag);
    else await rm(validator, { force: true });
    await writeBody(handle, response.body, from, url, (done) => onProgress?.(done, total));
    await handle.sync();
  } finally {
    await handle.close();
  }
  const got = await sizeOf(partial);
  if (total !== null && got !== total) throw new PassingFailure(`${url} broke off at byte ${got} of ${total}`);
  return { etag };
}

async function writeBody(
  handle: FileHandle,
  body: ReadableStream<Uint8Array>,
  from: number,
  url: string,
  onBytes: (done: number) => void,
): Promise<void> {
  const reader = body.getReader();
  let at = from;
  for (;;) {
    const next = await reader.read().catch((error: unknown) => {
      throw new PassingFailure(`the connection to ${url} broke at byte ${at} (${reasonOf(error)})`);
    });
    if (next.done) return;
    for (let written = 0; written < next.value.byteLength; ) {
      const { bytesWritten } = await handle.write(next.value, written, next.value.byteLength - written, at + written);
      written += bytesWritten;
    }
    at += next.value.byteLength;
    onBytes(at);
  }
}

async function finish(partial: string, path: string, url: string, etag: string | null): Promise<void> {
  const record: DownloadRecord = { url, bytes: await sizeOf(partial), sha256: await hashFile(partial), etag };
  // The record first: killed in between, this leaves one that is not of the data, which is then asked for without its
  // etag. Data without a record would be taken for somebody's own, and never asked for again.
  await writeFile(`${partial}.json`, `${JSON.stringify(record, null, 2)}\n`, { flush: true });
  await rename(`${partial}.json`, `${path}.json`);
  await rename(partial, path);
  await rm(`${partial}.etag`, { force: true });
}

/** Whether the file is the one that the record is about. */
const isOf = async (path: string, { bytes, sha256 }: DownloadRecord): Promise<boolean> =>
  (await sizeOf(path)) === bytes && (await hashFile(path)) === sha256;

/** What a download recorded about the file at `path`; undefined for a file that was put there by hand. */
export async function readRecord(path: string): Promise<DownloadRecord | undefined> {
  try {
    return JSON.parse(await readFile(`${path}.json`, 'utf8')) as DownloadRecord;
  } catch {
    return undefined;
  }
}

function answerError(url: string, status: number, path: string): Error {
  if (PASSING.has(status)) return new PassingFailure(`${url} answered ${status}, expected 200`);
  if (status === 401 || status === 403) {
    return new UserError(
      `${url} answered ${status}: ask for access and set HF_TOKEN for a gated data set, or put the file at ${path} by hand`,
    );
  }
  return new UserError(
    `${url} answered ${status}, expected 200: check the address, or put the file at ${path} by hand`,
  );
}

/** A weak one does not promise the same bytes. */
const strongEtag = (etag: string | null): string | null => (etag && !etag.startsWith('W/') ? etag : null);

const sizeOf = async (path: string): Promise<number> => (await stat(path).catch(() => undefined))?.size ?? 0;

/** The system's own words, which fetch hides in the cause. */
function reasonOf(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error && cause.message ? cause.message : message;
}
