import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export const COMMIT = '0123456789abcdef0123456789abcdef01234567';

export interface HubRequest {
  readonly server: 'hub' | 'cdn';
  readonly method: string;
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}

export interface HubServer {
  readonly url: string;
  /** Every request so far, in order. */
  readonly requests: HubRequest[];
  /** The CDN answers so many with 503, breaks off so many, and leaves ranges of a MiB and more from `holdFrom` on without an answer. */
  readonly trouble: { busy: number; broken: number; holdFrom: number };
  close(): Promise<void>;
}

/**
 * A server in the layout of the Hugging Face hub, for tests: `/api/models/{id}/revision/{rev}` names the commit,
 * `/{id}/resolve/{rev}/{file}` gives small files and redirects safetensors to a second server, as to a CDN, which knows ranges
 * and refuses a token. With `token` the model is gated.
 */
export async function startHub(
  model: string,
  files: Readonly<Record<string, Uint8Array | string>>,
  options: { readonly token?: string } = {},
): Promise<HubServer> {
  const requests: HubRequest[] = [];
  const trouble = { busy: 0, broken: 0, holdFrom: Number.POSITIVE_INFINITY };
  const bytesOf = (name: string): Buffer | undefined => {
    const file = files[name];
    return file === undefined ? undefined : Buffer.from(file as Uint8Array);
  };
  const note = (server: HubRequest['server'], { method = '', url = '', headers }: IncomingMessage) =>
    requests.push({ server, method, path: url, range: headers.range, authorization: headers.authorization });

  const cdn = await listen((request, response) => {
    if (openToPages(request, response)) return;
    note('cdn', request);
    if (request.headers.authorization) return end(response, 400);
    if (trouble.busy-- > 0) return end(response, 503);
    const [, from = 0, to = 0] = /^bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '')?.map(Number) ?? [];
    if (from >= trouble.holdFrom && to - from >= 2 ** 20) return;
    const bytes = bytesOf(decodeURIComponent(request.url?.slice('/blob/'.length) ?? ''));
    if (!bytes) return end(response, 404);
    send(request, response, bytes, trouble.broken-- > 0);
  });
  const hub = await listen((request, response) => {
    if (openToPages(request, response)) return;
    note('hub', request);
    const allowed = !options.token || request.headers.authorization === `Bearer ${options.token}`;
    const path = request.url ?? '';
    if (path === `/api/models/${model}/revision/main`) return end(response, 200, JSON.stringify({ sha: COMMIT }));
    if (!path.startsWith(`/${model}/resolve/${COMMIT}/`)) return end(response, path.startsWith('/api/') ? 404 : 401);
    if (!allowed) return end(response, 401);
    const name = path.slice(`/${model}/resolve/${COMMIT}/`.length);
    const bytes = bytesOf(name);
    if (!bytes) return end(response, 404);
    if (!name.endsWith('.safetensors')) return send(request, response, bytes, false);
    response.writeHead(302, { location: `${cdn.url}/blob/${encodeURIComponent(name)}` }).end();
  });
  return {
    url: hub.url,
    requests,
    trouble,
    close: async () => {
      await Promise.all([hub.close(), cdn.close()]);
    },
  };
}

async function listen(listener: RequestListener): Promise<{ url: string; close(): Promise<void> }> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Headers that let pages of other origins read, as the hub sends them; answers what browsers ask beforehand. */
function openToPages(request: IncomingMessage, response: ServerResponse): boolean {
  response.setHeader('access-control-allow-origin', '*');
  response.setHeader('access-control-allow-headers', 'authorization, range');
  response.setHeader('access-control-expose-headers', 'content-range, content-length');
  if (request.method !== 'OPTIONS') return false;
  response.writeHead(204).end();
  return true;
}

function end(response: ServerResponse, status: number, body = ''): void {
  response.writeHead(status, { 'content-length': Buffer.byteLength(body) }).end(body);
}

function send(request: IncomingMessage, response: ServerResponse, bytes: Buffer, broken: boolean): void {
  const match = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  const start = Number(match?.[1] ?? 0);
  const part = bytes.subarray(start, match?.[2] ? Number(match[2]) + 1 : bytes.length);
  response.writeHead(match ? 206 : 200, {
    'content-length': part.length,
    ...(match ? { 'content-range': `bytes ${start}-${start + part.length - 1}/${bytes.length}` } : {}),
  });
  if (request.method === 'HEAD') return void response.end();
  if (!broken) return void response.end(part);
  response.write(part.subarray(0, part.length >> 1), () => response.destroy());
}
