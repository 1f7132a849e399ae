import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { httpSource } from './http-source.ts';

const DATA = Uint8Array.from({ length: 100 }, (_, i) => i);
let server: Server;
let base: string;
const ranges: (string | undefined)[] = [];

beforeAll(async () => {
  server = createServer((request, response) => {
    ranges.push(request.headers.range);
    if (request.url?.endsWith('/gone.bin')) return response.writeHead(404).end();
    if (request.url?.endsWith('/secret.bin')) return response.writeHead(403).end();
    const match = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? '');
    if (!match || request.url?.startsWith('/plain/')) {
      response.writeHead(200, { 'content-length': DATA.length });
      return response.end(request.method === 'HEAD' ? undefined : DATA);
    }
    return response.writeHead(206).end(DATA.subarray(Number(match[1]), match[2] ? Number(match[2]) + 1 : undefined));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => new Promise((resolve) => server.close(resolve)));

describe('httpSource', () => {
  it.each(['ranged', 'plain'])('reads sizes, ranges and whole files from a %s server', async (kind) => {
    const source = httpSource(`${base}/${kind}`);
    expect(await source.size('a.bin')).toBe(100);
    expect(await source.read('a.bin', 7, 19)).toEqual(DATA.slice(7, 19));
    expect(await source.read('a.bin', 90)).toEqual(DATA.slice(90));
    expect(await source.read('a.bin')).toEqual(DATA);
    expect(await source.read('a.bin', 5, 5)).toEqual(new Uint8Array());
    expect(ranges).toContain('bytes=7-18');
  });

  it('tells a missing file from a refused or unreachable one', async () => {
    const source = httpSource(base);
    expect(await source.size('gone.bin')).toBeUndefined();
    await expect(source.read('gone.bin')).rejects.toMatchObject({ code: 'missing-file' });
    await expect(source.read('secret.bin')).rejects.toMatchObject({
      code: 'access-denied',
      message: expect.stringContaining('403'),
    });
    await expect(httpSource('http://127.0.0.1:1/').size('a.bin')).rejects.toMatchObject({ code: 'unreachable' });
  });
});
