import { ModelFileError } from './error.ts';
import type { FileSource } from './source.ts';

/** A server that ignores ranges sends the whole file for each; beyond this that is refused rather than held in memory. */
const MAX_UNRANGED_BYTES = 64 * 2 ** 20;
/** Too early, too many, or a server in trouble: worth asking again. */
const PASSING = new Set([408, 425, 429, 500, 502, 503, 504]);

/**
 * Files below an HTTP address, read with range requests. `fetch` is an argument so that callers add headers.
 * Throws ModelFileError 'missing-file' for 404 and 410, 'access-denied' for 401 and 403, 'unreachable' for what may pass (no
 * connection, one that broke, a busy server; `retrying` asks again), 'refused' for any other answer.
 */
export function httpSource(url: string, fetch: typeof globalThis.fetch = globalThis.fetch): FileSource {
  const base = url.endsWith('/') ? url : `${url}/`;
  const request = async (name: string, init: RequestInit): Promise<Response | undefined> => {
    let response: Response;
    const address = new URL(encodeURIComponent(name), base);
    try {
      response = await fetch(address, init);
    } catch (error) {
      throw new ModelFileError('unreachable', name, `${address} could not be reached (${reasonOf(error)})`);
    }
    if (response.ok) return response;
    await response.body?.cancel();
    if (response.status === 404 || response.status === 410) return undefined;
    throw answerError(name, base, response.status);
  };
  const sizeByRange = async (name: string): Promise<number | undefined> => {
    const response = await request(name, { headers: { range: 'bytes=0-0' } });
    await response?.body?.cancel();
    const total = response && /\/(\d+)$/.exec(response.headers.get('content-range') ?? '')?.[1];
    if (!response || total) return total ? Number(total) : undefined;
    throw new ModelFileError(
      'refused',
      name,
      `${base} sent neither a content-length nor ranges, which range reads need`,
    );
  };
  return {
    label: url,
    async size(name) {
      const response = await request(name, { method: 'HEAD' });
      if (!response) return undefined;
      const length = response.headers.get('content-length');
      // Compressed on its way, a file has another length or none; ranges are never compressed.
      return length === null || response.headers.has('content-encoding') ? sizeByRange(name) : Number(length);
    },
    async read(name, start, end) {
      if (start !== undefined && start === end) return new Uint8Array();
      const ranged = start !== undefined || end !== undefined;
      const range = `bytes=${start ?? 0}-${end === undefined ? '' : end - 1}`;
      const response = await request(name, ranged ? { headers: { range } } : {});
      if (!response) throw answerError(name, base, 404);
      const whole = ranged && response.status === 200;
      if (whole && Number(response.headers.get('content-length')) > MAX_UNRANGED_BYTES) {
        await response.body?.cancel();
        throw new ModelFileError('refused', name, `${base} does not answer range requests; download the file instead`);
      }
      let bytes: Uint8Array<ArrayBuffer>;
      try {
        bytes = new Uint8Array(await response.arrayBuffer());
      } catch (error) {
        throw new ModelFileError('unreachable', name, `the connection to ${base} broke (${reasonOf(error)})`);
      }
      return whole ? bytes.slice(start ?? 0, end ?? bytes.byteLength) : bytes;
    },
  };
}

/** What an HTTP status other than 2xx means for a file. */
export function answerError(name: string, url: string, status: number): ModelFileError {
  const answered = `${url} answered ${status}, expected 200 or 206`;
  if (status === 404 || status === 410) return new ModelFileError('missing-file', name, `not found at ${url}`);
  if (status === 401 || status === 403) {
    return new ModelFileError('access-denied', name, `${answered}; check your access`);
  }
  if (PASSING.has(status)) return new ModelFileError('unreachable', name, `${answered}; try again later`);
  return new ModelFileError('refused', name, `${answered}; check the address`);
}

/** The system's own words, which fetch hides in the cause. */
export function reasonOf(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error && cause.message ? cause.message : message;
}
