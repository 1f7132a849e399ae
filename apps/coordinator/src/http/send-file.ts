import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import type { Context } from 'hono';

export interface SendOptions {
  readonly contentType: string;
  /** Strong ETag without quotes; by default made of size and time of change. */
  readonly etag?: string;
  readonly cacheControl: string;
}

export const IMMUTABLE = 'public, max-age=31536000, immutable';
export const REVALIDATE = 'no-cache';
export const PRIVATE = 'private, no-store';

/** Sends a file with ETag and one byte range (RFC 9110 §14); undefined when there is no such file. */
export async function sendFile(context: Context, path: string, options: SendOptions): Promise<Response | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isFile()) return undefined;
  const etag = `"${options.etag ?? `${found.size.toString(36)}-${Math.trunc(found.mtimeMs).toString(36)}`}"`;
  const headers = new Headers({
    'Content-Type': options.contentType,
    'Cache-Control': options.cacheControl,
    ETag: etag,
    'Accept-Ranges': 'bytes',
  });
  if (matches(context.req.header('If-None-Match'), etag)) return new Response(null, { status: 304, headers });
  const ifRange = context.req.header('If-Range');
  const wanted = ifRange === undefined || ifRange === etag ? parseRange(context.req.header('Range'), found.size) : null;
  if (wanted === 'unsatisfiable') {
    headers.set('Content-Range', `bytes */${found.size}`);
    return new Response(null, { status: 416, headers });
  }
  const { start, end } = wanted ?? { start: 0, end: found.size };
  headers.set('Content-Length', String(end - start));
  if (wanted) headers.set('Content-Range', `bytes ${start}-${end - 1}/${found.size}`);
  const status = wanted ? 206 : 200;
  if (context.req.method === 'HEAD' || start === end) return new Response(null, { status, headers });
  const stream = createReadStream(path, { start, end: end - 1, highWaterMark: 1 << 18 });
  return new Response(Readable.toWeb(stream) as ReadableStream, { status, headers });
}

/** [start, end) of a single range; null for none, several or another unit (the whole file is a correct answer to those). */
export function parseRange(
  header: string | undefined,
  size: number,
): { start: number; end: number } | 'unsatisfiable' | null {
  const match = header?.match(/^bytes=(\d*)-(\d*)$/);
  if (!match || (match[1] === '' && match[2] === '')) return null;
  if (match[1] === '') {
    const suffix = Number(match[2]);
    return suffix === 0 || size === 0 ? 'unsatisfiable' : { start: Math.max(0, size - suffix), end: size };
  }
  const start = Number(match[1]);
  const last = match[2] === '' ? size - 1 : Number(match[2]);
  if (match[2] !== '' && last < start) return null;
  return start >= size ? 'unsatisfiable' : { start, end: Math.min(last, size - 1) + 1 };
}

function matches(header: string | undefined, etag: string): boolean {
  return (
    header !== undefined && (header === '*' || header.split(',').some((one) => one.trim().replace(/^W\//, '') === etag))
  );
}
