import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { parseDataset, parsePreferences, presetById } from '@cotune/fl-core';
import { expect, onTestFinished, test } from 'vitest';
import { UserError } from '../src/cli/output.ts';
import { readRecord } from '../src/data-source/download.ts';
import { openDataSource, presetDirectory } from '../src/data-source/open.ts';

const DEAD_PID = 2 ** 22 + 1; // beyond Linux's largest
const BYTES = Buffer.from(
  Array.from(
    { length: 400 },
    (_, i) => `${JSON.stringify({ instruction: `Q${i}`, input: '', output: `A${i}` })}\n`,
  ).join(''),
);
const ETAG = '"one"';

interface Served {
  readonly bytes: Buffer;
  readonly etag?: string;
}

/** Serves files with ranges and validators; `before` may answer the n-th request (from 1) itself, by returning true. */
async function serve(
  files: Record<string, Served>,
  before: (time: number, request: IncomingMessage, response: ServerResponse) => boolean = () => false,
) {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    const known = request.headers['if-none-match'];
    requests.push(`${request.url} ${request.headers.range ?? 'whole'}${known ? ` unless ${known}` : ''}`);
    if (before(requests.length, request, response)) return;
    const file = files[request.url ?? ''];
    if (!file) return response.writeHead(404).end();
    const { bytes, etag } = file;
    const headers: Record<string, string> = etag ? { etag } : {};
    if (etag && request.headers['if-none-match'] === etag) return response.writeHead(304, headers).end();
    const range = /bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1];
    const version = request.headers['if-range'] ?? etag; // as RFC 9110 has it, a range without If-Range is of what is there
    const start = range && version === etag ? Number(range) : 0;
    response.writeHead(start > 0 ? 206 : 200, { ...headers, 'content-length': bytes.byteLength - start });
    response.end(bytes.subarray(start));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  onTestFinished(() => void server.close());
  return { requests, origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, files };
}

async function temporary(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'cotune-datasets-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  return directory;
}

/** Sends the first bytes and breaks the connection once they have arrived. */
function breakAt(response: ServerResponse, bytes: Buffer, at: number, etag?: string): true {
  response.writeHead(200, { 'content-length': bytes.byteLength, ...(etag ? { etag } : {}) });
  response.write(bytes.subarray(0, at), () => setTimeout(() => response.destroy(), 50));
  return true;
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const sleep = async (): Promise<void> => {};
const presetUrl = (id: string): string => {
  const file = presetById(id)?.files[0];
  return `/datasets/${file?.repository}/resolve/main/${file?.path}`;
};

test('reads a local file relative to its base, and the demo that ships with the product', async () => {
  const base = await temporary();
  await writeFile(join(base, 'rows.jsonl'), BYTES);
  const source = await openDataSource('rows.jsonl', base);
  expect(source).toEqual({ bytes: BYTES, fileName: 'rows.jsonl', sha256: sha256(BYTES) });

  const [demo, held] = [await openDataSource('demo', base), await openDataSource('demo-test', base)];
  const rows = (await parseDataset(demo.bytes, { fileName: demo.fileName })).rows.length;
  const shards = await Promise.all(
    [1, 2, 3].map((i) => openDataSource(join(import.meta.dirname, `../demo/data/participant-${i}.jsonl`), base)),
  );
  const lines = shards.map(({ bytes }) => Buffer.from(bytes).toString().trim().split('\n').length);
  expect(rows).toBeGreaterThan(Math.max(...lines));
  expect(rows).toBeLessThanOrEqual(lines.reduce((a, b) => a + b, 0));
  expect(held.fileName).toBe('test.jsonl');
});

test('says what there is when there is nothing', async () => {
  const base = await temporary();
  await mkdir(join(base, 'folder'));
  await expect(openDataSource('none.jsonl', base)).rejects.toThrow(`no such data file: ${join(base, 'none.jsonl')}`);
  await expect(openDataSource('folder', base)).rejects.toThrow(/is a directory, expected a data file/);
  await expect(openDataSource('preset:nothing', base)).rejects.toThrow(/no preset "nothing": expected one of alpaca, /);
});

test('downloads a preset once, and records where from, how much and its hash', async () => {
  const url = presetUrl('code-alpaca');
  const { origin, requests } = await serve({ [url]: { bytes: BYTES, etag: ETAG } });
  const directory = await temporary();
  const options = { directory, endpoint: `${origin}/`, sleep };
  const source = await openDataSource('preset:code-alpaca', '/', options);
  expect(Buffer.from(source.bytes).equals(BYTES)).toBe(true);
  expect(source.preset?.sample).toBe(20_000);
  expect(source.fileName).toBe('code_alpaca_20k.json');

  const path = join(directory, 'code-alpaca', 'code_alpaca_20k.json');
  expect(await readRecord(path)).toEqual({
    url: `${origin}${url}`,
    bytes: BYTES.byteLength,
    sha256: sha256(BYTES),
    etag: ETAG,
  });
  await openDataSource('preset:code-alpaca', '/', options);
  expect(requests).toEqual([`${url} whole`]);
  expect((await readdir(dirname(path))).sort()).toEqual(['code_alpaca_20k.json', 'code_alpaca_20k.json.json']);
});

test('joins the files of a preset that has several, whatever they hold', async () => {
  const pair = (i: number): string =>
    JSON.stringify({ chosen: `\n\nHuman: Q${i}\n\nAssistant: yes`, rejected: `\n\nHuman: Q${i}\n\nAssistant: no` });
  const files: Record<string, Served> = {};
  for (const [i, file] of (presetById('hh-rlhf')?.files ?? []).entries()) {
    files[`/datasets/${file.repository}/resolve/main/${file.path}`] = {
      bytes: gzipSync(`${pair(2 * i)}\n${pair(2 * i + 1)}`),
    };
  }
  const { origin } = await serve(files);
  const { bytes, fileName } = await openDataSource('preset:hh-rlhf', '/', {
    directory: await temporary(),
    endpoint: origin,
  });
  const { rows, rejected } = await parsePreferences(bytes, { fileName });
  expect(rejected).toEqual([]);
  expect(rows.map(({ turns }) => turns[0])).toEqual(Array.from({ length: 8 }, (_, i) => `Q${i}`));
});

test('goes on where the connection broke, also in another process', async () => {
  const { origin, requests } = await serve({ '/a.jsonl': { bytes: BYTES, etag: ETAG } }, (time, _, response) =>
    time === 1 ? breakAt(response, BYTES, 5000, ETAG) : false,
  );
  const directory = await temporary();
  const { bytes } = await openDataSource(`${origin}/a.jsonl`, '/', { directory, sleep });
  expect(Buffer.from(bytes).equals(BYTES)).toBe(true);
  expect(requests[0]).toBe('/a.jsonl whole');
  expect(requests).toHaveLength(2);
  expect(requests[1]).toMatch(/^\/a\.jsonl bytes=[1-9]\d*-$/);

  const path = join(presetDirectory(presetById('code-alpaca') as never, { directory }), 'code_alpaca_20k.json');
  await mkdir(dirname(path), { recursive: true });
  await writeFile(`${path}.${DEAD_PID}.part`, BYTES.subarray(0, 3000));
  await writeFile(`${path}.${DEAD_PID}.part.etag`, ETAG);
  const hub = await serve({ [presetUrl('code-alpaca')]: { bytes: BYTES, etag: ETAG } });
  const again = await openDataSource('preset:code-alpaca', '/', { directory, endpoint: hub.origin, sleep });
  expect(Buffer.from(again.bytes).equals(BYTES)).toBe(true);
  expect(hub.requests).toEqual([`${presetUrl('code-alpaca')} bytes=3000-`]);
  expect((await readdir(dirname(path))).some((name) => name.includes('.part'))).toBe(false);
});

test('starts over when the file has changed meanwhile, or nothing names its version', async () => {
  const next = Buffer.concat([Buffer.from('{"prompt":"new","response":"row"}\n'), BYTES]);
  for (const [first, now] of [
    ['"old"', ETAG],
    [undefined, undefined],
  ] as const) {
    const { origin } = await serve(
      { '/a.jsonl': { bytes: next, ...(now ? { etag: now } : {}) } },
      (time, _, response) => (time === 1 ? breakAt(response, BYTES, 5000, first) : false),
    );
    const { bytes } = await openDataSource(`${origin}/a.jsonl`, '/', { directory: await temporary(), sleep });
    expect(Buffer.from(bytes).equals(next)).toBe(true);
  }
});

test('waits for a busy server, longer each time, and gives up with the place for the file', async () => {
  const pauses: number[] = [];
  const wait = async (ms: number): Promise<void> => void pauses.push(ms);
  const busy = await serve({ '/a.jsonl': { bytes: BYTES } }, (time, _, response) => {
    if (time < 3) response.writeHead(503).end();
    return time < 3;
  });
  const directory = await temporary();
  const { bytes } = await openDataSource(`${busy.origin}/a.jsonl`, '/', { directory, sleep: wait });
  expect(bytes.byteLength).toBe(BYTES.byteLength);
  expect(pauses).toEqual([1000, 2000]);

  const path = join(directory, 'code-alpaca', 'code_alpaca_20k.json');
  const options = { directory, endpoint: 'http://127.0.0.1:9', sleep };
  await expect(openDataSource('preset:code-alpaca', '/', options)).rejects.toThrow(
    new RegExp(`could not be reached .*; or put the file at ${path} by hand$`),
  );
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, BYTES);
  expect((await openDataSource('preset:code-alpaca', '/', options)).bytes.byteLength).toBe(BYTES.byteLength);
});

test.runIf(existsSync('/dev/full'))(
  'names the file for which the disk has no room, and does not ask again',
  async () => {
    const { origin, requests } = await serve({ [presetUrl('code-alpaca')]: { bytes: BYTES } });
    const directory = await temporary();
    const file = join(directory, 'code-alpaca', 'code_alpaca_20k.json');
    await mkdir(dirname(file), { recursive: true });
    await symlink('/dev/full', `${file}.${process.pid}.part`);
    const failing = openDataSource('preset:code-alpaca', '/', { directory, endpoint: origin, sleep });
    await expect(failing).rejects.toThrow(`cannot write ${file}: ENOSPC`);
    await expect(failing).rejects.toBeInstanceOf(UserError);
    expect(requests).toHaveLength(1);
    expect(existsSync(file)).toBe(false);
  },
);

test('does not ask again for what is refused', async () => {
  const { origin, requests } = await serve({}, (_, request, response) => {
    if (request.url !== '/gated.jsonl') return false;
    response.writeHead(401).end();
    return true;
  });
  const options = { directory: await temporary(), sleep };
  await expect(openDataSource(`${origin}/none.jsonl`, '/', options)).rejects.toThrow(/answered 404.*check the address/);
  await expect(openDataSource(`${origin}/gated.jsonl`, '/', options)).rejects.toThrow(/HF_TOKEN/);
  expect(requests).toHaveLength(2);
});

test('asks an address for changes, and takes what it has when the address is gone', async () => {
  const { origin, requests, files } = await serve({ '/a.jsonl': { bytes: BYTES, etag: ETAG } });
  const options = { directory: await temporary(), sleep };
  const url = `${origin}/a.jsonl`;
  await openDataSource(url, '/', options);
  expect((await openDataSource(url, '/', options)).sha256).toBe(sha256(BYTES));
  const other = Buffer.from('{"prompt":"a","response":"b"}\n');
  files['/a.jsonl'] = { bytes: other, etag: '"two"' };
  expect((await openDataSource(url, '/', options)).sha256).toBe(sha256(other));
  expect(requests).toEqual(['/a.jsonl whole', `/a.jsonl whole unless ${ETAG}`, `/a.jsonl whole unless ${ETAG}`]);
  const failing: typeof fetch = async () => {
    throw new TypeError('fetch failed', { cause: new Error('getaddrinfo ENOTFOUND') });
  };
  expect((await openDataSource(url, '/', { ...options, fetch: failing })).sha256).toBe(sha256(other));
  expect(existsSync(join(options.directory, 'addresses'))).toBe(true);
});

test('data and record that do not belong together are downloaded again, whichever of them is the newer', async () => {
  const now = Buffer.from('{"prompt":"new","response":"row"}\n');
  const { origin, requests } = await serve({ '/a.jsonl': { bytes: now, etag: '"two"' } });
  const options = { directory: await temporary(), sleep };
  const url = `${origin}/a.jsonl`;
  await openDataSource(url, '/', options);
  const [name = ''] = (await readdir(options.directory, { recursive: true })).filter((one) => one.endsWith('a.jsonl'));
  const path = join(options.directory, name);
  const record = await readFile(`${path}.json`, 'utf8');

  // As a process leaves it that is killed between the two: the record of what the server has, and other data.
  for (const left of [BYTES, Buffer.from(now.toString().replace('row', 'old'))]) {
    await writeFile(path, left);
    expect(Buffer.from((await openDataSource(url, '/', options)).bytes).toString()).toBe(now.toString());
    expect(requests.at(-1)).toBe('/a.jsonl whole');
  }
  // And the other way round.
  await writeFile(`${path}.json`, record.replace(sha256(now), sha256(BYTES)));
  await openDataSource(url, '/', options);
  expect(requests.at(-1)).toBe('/a.jsonl whole');
  expect(await readFile(`${path}.json`, 'utf8')).toBe(record);
  await openDataSource(url, '/', options);
  expect(requests.at(-1)).toBe('/a.jsonl whole unless "two"');
  expect((await readdir(dirname(path))).sort()).toEqual(['a.jsonl', 'a.jsonl.json']);
});

test('takes a name for the file from any address, and refuses what is none', async () => {
  const { origin, requests, files } = await serve({});
  const directory = await temporary();
  const named = async (path: string): Promise<string> => {
    files[path.replace(/#.*/, '')] = { bytes: BYTES };
    return (await openDataSource(`${origin}${path}`, '/', { directory, sleep })).fileName;
  };
  expect(await named('/100%.jsonl')).toBe('100%.jsonl');
  expect(await named('/x%2F..')).toBe('data');
  expect(await named('/x%2F.')).toBe('data');
  expect(await named('/%00')).toBe('data');
  expect(await named('/..%5C..%5Cb.csv')).toBe('b.csv');
  expect(await named('/a%2Fb%3A%0A.jsonl?c=/d')).toBe('b.jsonl');
  expect(await named('/%C3%A4%20b.jsonl')).toBe('ä b.jsonl');
  expect(await named('/')).toBe('data');
  expect(await named(`/${'%C3%A4'.repeat(300)}.jsonl`)).toMatch(/^ä+\.jsonl$/);
  expect(requests).toHaveLength(9);
  const kept = await readdir(join(directory, 'addresses'));
  expect(kept).toHaveLength(9);
  expect(kept.every((name) => /^[0-9a-f]{16}$/.test(name))).toBe(true);
  for (const bad of ['http://', 'https://[::1', 'http://a b/c.jsonl']) {
    const opening = openDataSource(bad, '/', { directory, sleep });
    await expect(opening).rejects.toBeInstanceOf(UserError);
    await expect(opening).rejects.toThrow(/is no address/);
  }
});

test('credentials in an address are sent, and neither stored nor shown', async () => {
  const sent: (string | undefined)[] = [];
  const { origin } = await serve({ '/a.jsonl': { bytes: BYTES, etag: ETAG } }, (_, request, response) => {
    sent.push(request.headers.authorization);
    if (request.url !== '/gated.jsonl') return false;
    response.writeHead(403).end();
    return true;
  });
  const directory = await temporary();
  const secret = (path: string): string => `${origin.replace('//', '//lovelace:s%3Acret@')}${path}`;
  const { bytes } = await openDataSource(secret('/a.jsonl'), '/', { directory, sleep });
  expect(Buffer.from(bytes).equals(BYTES)).toBe(true);
  expect(sent).toEqual([`Basic ${Buffer.from('lovelace:s:cret').toString('base64')}`]);
  const files = (await readdir(directory, { recursive: true })).filter((name) => name.endsWith('.json'));
  expect(files).toHaveLength(1);
  expect(await readFile(join(directory, files[0] ?? ''), 'utf8')).not.toMatch(/lovelace|cret/);
  const refused = await openDataSource(secret('/gated.jsonl'), '/', { directory, sleep }).catch(
    (error: Error) => error,
  );
  expect(refused).toBeInstanceOf(UserError);
  expect((refused as Error).message).not.toMatch(/lovelace|cret/);
  const unreachable = { directory, sleep, endpoint: 'http://lovelace:cret@127.0.0.1:9' };
  const failed = await openDataSource('preset:code-alpaca', '/', unreachable).catch((error: Error) => error);
  expect((failed as Error).message).toMatch(/^http:\/\/127\.0\.0\.1:9\/.* could not be reached/);
  const broken = await openDataSource('http://lovelace:cret@a b/', '/', { directory }).catch((error: Error) => error);
  expect((broken as Error).message).not.toMatch(/lovelace|cret/);
});

test('a file without its declared length is not taken for whole', async () => {
  const { origin } = await serve({}, (_, __, response) => breakAt(response, BYTES, 4000));
  const options = { directory: await temporary(), sleep };
  await expect(openDataSource(`${origin}/a.jsonl`, '/', options)).rejects.toThrow(/broke at byte|broke off/);
  const kept = (await readdir(options.directory, { recursive: true })).filter((name) => name.endsWith('a.jsonl'));
  expect(kept).toEqual([]);
  expect(await readFile(join(options.directory, 'none')).catch(() => 'absent')).toBe('absent');
});

test('compares what it received with the length that was declared', async () => {
  const short: typeof fetch = async () =>
    new Response(BYTES.subarray(0, 100), { headers: { 'content-length': '200' } });
  const options = { directory: await temporary(), fetch: short, sleep };
  await expect(openDataSource('http://localhost/a.jsonl', '/', options)).rejects.toThrow(
    /broke off at byte 100 of 200/,
  );
});

test('names its presets on the command line, with the place of their files', async () => {
  const state = await temporary();
  const cli = join(import.meta.dirname, '..', 'dist', 'cotune.js');
  const cotune = (...args: string[]) =>
    spawnSync(process.execPath, [cli, ...args], {
      encoding: 'utf8',
      env: { ...process.env, COTUNE_STATE_DIR: state, HF_ENDPOINT: 'https://ada:secret@mirror.example' },
    });
  expect(cotune('datasets').stdout).toMatch(/^medalpaca-flashcards +sft +33955 rows/m);
  const path = join(state, 'datasets', 'math-instruct', 'MathInstruct.json');
  const described = JSON.parse(cotune('datasets', 'math-instruct', '--json').stdout) as Record<string, unknown>;
  expect(described).toMatchObject({
    parse: { dedupe: 'prompt' },
    files: [
      {
        url: 'https://mirror.example/datasets/TIGER-Lab/MathInstruct/resolve/main/MathInstruct.json',
        path,
        present: false,
      },
    ],
  });
  const rows = [1, 2].map((i) => ({ source: 's', instruction: 'Add 1 and 2.', output: `${i}` }));
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, JSON.stringify(rows));
  const report = JSON.parse(cotune('inspect', 'preset:math-instruct', '--json').stdout) as Record<string, unknown>;
  expect(report).toMatchObject({
    kind: 'data',
    task: 'sft',
    preset: 'math-instruct',
    rows: 1,
    card: { duplicateRows: 1 },
  });
  const wrong = cotune('datasets', 'nothing');
  expect([wrong.status, wrong.stderr]).toEqual([1, expect.stringContaining('no preset "nothing": expected one of')]);
});
