import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Transfer } from '@cotune/kernels';
import { memorySink, memorySource, quantizeModel, sha256Hex } from '@cotune/kernels';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { tinyCheckpoint } from '../../../packages/kernels/src/quantize/tiny-checkpoint.ts';
import { cacheModel } from '../src/participant/model-cache.ts';

const SHARD = 'shard-00001.bin';
const DEAD_PID = 2 ** 22 + 1; // beyond Linux's largest
let model: Record<string, Uint8Array<ArrayBuffer>>;

beforeAll(async () => {
  const sink = memorySink();
  await quantizeModel(memorySource(tinyCheckpoint().files), sink, { dtype: 'int8', shardBytes: 4096 });
  model = sink.files();
});

/** Serves the model with ranges; `alter` may change what is sent the n-th time (from 1) that a file is asked for. */
async function serve(alter: (name: string, time: number, bytes: Buffer) => Buffer | 'break' = (_, __, bytes) => bytes) {
  const requests: string[] = [];
  const times = new Map<string, number>();
  const server = createServer((request, response) => {
    const name = request.url?.slice(1) ?? '';
    const bytes = model[name];
    requests.push(`${name} ${request.headers.range ?? 'whole'}`);
    if (!bytes) return response.writeHead(404).end();
    times.set(name, (times.get(name) ?? 0) + 1);
    const start = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const part = alter(name, times.get(name) ?? 0, Buffer.from(bytes.subarray(start)));
    const length = bytes.byteLength - start;
    response.writeHead(start > 0 ? 206 : 200, { 'content-length': length });
    if (part !== 'break') return response.end(part);
    response.write(bytes.subarray(start, start + 1000), () => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const cacheDir = await mkdtemp(join(tmpdir(), 'cotune-cache-'));
  onTestFinished(() => rm(cacheDir, { recursive: true }));
  return { url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`), requests, cacheDir };
}

async function directoryIn(cacheDir: string): Promise<string> {
  const directory = join(cacheDir, (await sha256Hex(model['model.json'] ?? new Uint8Array())).slice(0, 32));
  await mkdir(directory, { recursive: true });
  return directory;
}

async function expectComplete(directory: string): Promise<void> {
  expect((await readdir(directory)).sort()).toEqual(Object.keys(model).sort());
  for (const [name, bytes] of Object.entries(model)) {
    expect((await readFile(join(directory, name))).equals(bytes), name).toBe(true);
  }
}

test('goes on with what a process that is gone left of a shard, and fetches nothing twice', async () => {
  const { url, requests, cacheDir } = await serve();
  const directory = await directoryIn(cacheDir);
  await writeFile(join(directory, 'shard-00000.bin'), model['shard-00000.bin'] ?? '');
  await writeFile(join(directory, `${SHARD}.${DEAD_PID}.part`), model[SHARD]?.subarray(0, 1500) ?? '');
  const progress: Transfer[] = [];
  expect(await cacheModel(url, cacheDir, (now) => progress.push(now))).toBe(directory);
  await expectComplete(directory);
  expect(requests).toContain(`${SHARD} bytes=1500-`);
  expect(requests.some((request) => request.startsWith('shard-00000'))).toBe(false);
  expect(progress.at(-1)).toMatchObject({ doneBytes: progress[0]?.totalBytes, secondsLeft: 0 });
  const before = requests.length;
  await cacheModel(url, cacheDir, () => {});
  expect(requests.slice(before)).toEqual(['model.json whole']);
});

test('asks for the rest where the connection breaks', async () => {
  const { url, requests, cacheDir } = await serve((name, time, bytes) =>
    name === SHARD && time === 1 ? 'break' : bytes,
  );
  await expectComplete(await cacheModel(url, cacheDir, () => {}));
  expect(requests.filter((request) => request.startsWith(SHARD))).toEqual([`${SHARD} whole`, `${SHARD} bytes=1000-`]);
});

test('fetches a damaged shard again, and gives up when it stays damaged', async () => {
  const damage = (bytes: Buffer) => Buffer.from(bytes.map((byte, i) => (i === 5 ? byte ^ 1 : byte)));
  const once = await serve((name, time, bytes) => (name === SHARD && time === 1 ? damage(bytes) : bytes));
  await expectComplete(await cacheModel(once.url, once.cacheDir, () => {}));
  const always = await serve((name, _, bytes) => (name === SHARD ? damage(bytes) : bytes));
  await expect(cacheModel(always.url, always.cacheDir, () => {})).rejects.toMatchObject({ code: 'hash-mismatch' });
  expect(await readdir(await directoryIn(always.cacheDir))).not.toContain(SHARD);
});

test('a part that was damaged on the disk is thrown away', async () => {
  const { url, requests, cacheDir } = await serve();
  const directory = await directoryIn(cacheDir);
  await writeFile(join(directory, `${SHARD}.${DEAD_PID}.part`), new Uint8Array(1500));
  await expectComplete(await cacheModel(url, cacheDir, () => {}));
  expect(requests.filter((request) => request.startsWith(SHARD))).toEqual([`${SHARD} bytes=1500-`, `${SHARD} whole`]);
});
