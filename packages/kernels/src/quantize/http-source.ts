import { ModelFileError } from './error.ts';
import type { FileSource } from './source.ts';

/**
 * Files below an HTTP address, read with range requests. `fetch` is an argument so that callers add headers or retries.
 * Throws ModelFileError 'missing-file' for 404 and 410, 'unreachable' for any other failure.
 */
export function httpSource(url: string, fetch: typeof globalThis.fetch = globalThis.fetch): FileSource {
  const base = url.endsWith('/') ? url : `${url}/`;
  const request = async (name: string, init: RequestInit): Promise<Response | undefined> => {
    let response: Response;
    try {
      response = await fetch(new URL(encodeURIComponent(name), base), init);
    } catch (error) {
      throw new ModelFileError('unreachable', name, `${base} could not be reached (${(error as Error).message})`);
    }
    if (response.status === 404 || response.status === 410) return undefined;
    if (!response.ok) {
      throw new ModelFileError(
        'unreachable',
        name,
        `${base} answered ${response.status}, expected 200 or 206; check the address and your access`,
      );
    }
    return response;
  };
  return {
    label: url,
    async size(name) {
      const response = await request(name, { method: 'HEAD' });
      if (!response) return undefined;
      const length = Number(response.headers.get('content-length') ?? Number.NaN);
      if (Number.isSafeInteger(length)) return length;
      throw new ModelFileError('unreachable', name, `${base} sent no content-length, which range reads need`);
    },
    async read(name, start, end) {
      if (start !== undefined && start === end) return new Uint8Array();
      const ranged = start !== undefined || end !== undefined;
      const range = `bytes=${start ?? 0}-${end === undefined ? '' : end - 1}`;
      const response = await request(name, ranged ? { headers: { range } } : {});
      if (!response) throw new ModelFileError('missing-file', name, `not found at ${base}`);
      const bytes = new Uint8Array(await response.arrayBuffer());
      // A server without range support sends the whole file.
      return ranged && response.status === 200 ? bytes.slice(start ?? 0, end ?? bytes.byteLength) : bytes;
    },
  };
}
