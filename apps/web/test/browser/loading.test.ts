import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { type ModelManifest, memorySink, memorySource, quantizeModel } from '@cotune/kernels';
import type { Browser, Page } from 'playwright-core';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { COMMIT, startHub } from '../../../../packages/kernels/src/quantize/hub-server.test-support.ts';
import { tinyCheckpoint } from '../../../../packages/kernels/src/quantize/tiny-checkpoint.ts';
import type { LoadingPage } from './loading-page.ts';
import { newTab, openBrowser } from './stage.ts';

declare const loading: LoadingPage;

const MODEL = 'owner/tiny-model';
const SHARD_BYTES = 2 ** 20;
/** Matrices of 10 MB each in 61 MB of f32, so that a read-ahead window is a part of them. */
const checkpoint = tinyCheckpoint({ hidden_size: 128, intermediate_size: 20_000 });
const folder = encodeURIComponent(`${MODEL}@${COMMIT}`);

let browser: Browser;
let server: Server;
let origin: string;
let expected: { files: Record<string, Uint8Array<ArrayBuffer>>; hashes: string[]; norm: number[] };
/** A model of 125 GiB, of which only the table of contents exists. */
let huge: string;
/** What the server was asked for, and what it damages the next time. */
const requests: string[] = [];
let damageNext = '';

beforeAll(async () => {
  const scripts = await bundle();
  const sink = memorySink();
  const label = `${MODEL}@${COMMIT}`;
  const { shards } = await quantizeModel(memorySource(checkpoint.files), sink, {
    dtype: 'int8',
    shardBytes: SHARD_BYTES,
    source: label,
  });
  const norm = checkpoint.tensors.find(({ name }) => name === 'model.norm.weight')?.data ?? [];
  expected = { files: sink.files(), hashes: shards.map(({ sha256 }) => sha256), norm: [...norm] };
  huge = JSON.stringify(hugeManifest());
  server = createServer((request, response) => {
    const path = request.url?.slice(1) ?? '';
    if (path === '')
      return response
        .setHeader('content-type', 'text/html')
        .end('<script type="module" src="/loading-page.js"></script>');
    const script = scripts.get(path);
    if (script) return response.setHeader('content-type', 'text/javascript').end(script);
    const file = path === 'huge/model.json' ? Buffer.from(huge) : expected.files[path.replace('model/', '')];
    if (!file) return response.writeHead(404).end();
    requests.push(`${path} ${request.headers.range ?? 'whole'}`);
    const bytes = Buffer.from(file);
    if (path === damageNext) {
      damageNext = '';
      bytes[100] = (bytes[100] ?? 0) ^ 1;
    }
    response.end(bytes);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  browser = await openBrowser();
});
afterAll(async () => {
  await browser?.close();
  server?.closeAllConnections();
  server?.close();
});

function hugeManifest(): ModelManifest {
  const manifest = JSON.parse(new TextDecoder().decode(expected.files['model.json'])) as ModelManifest;
  const [first, ...rest] = manifest.shards;
  if (!first) throw new Error('expected shards');
  const file = (i: number) => `shard-${String(i).padStart(5, '0')}.bin`;
  const more = Array.from({ length: 2_000 - rest.length }, (_, i) => ({
    ...first,
    file: file(1 + rest.length + i),
    bytes: 2 ** 26,
  }));
  return { ...manifest, shards: [first, ...rest, ...more] };
}

/** The page and its Worker, from the same sources as the app's. */
async function bundle(): Promise<Map<string, string>> {
  const scripts = new Map<string, string>();
  for (const name of ['loading-page', 'loading-worker']) {
    const result = await build({
      configFile: false,
      logLevel: 'error',
      build: {
        write: false,
        target: 'es2023',
        rolldownOptions: {
          input: fileURLToPath(new URL(`./${name}.ts`, import.meta.url)),
          output: { entryFileNames: '[name].js', codeSplitting: false },
        },
      },
    });
    if (Array.isArray(result) || !('output' in result)) throw new Error('expected one bundle');
    for (const part of result.output) if (part.type === 'chunk') scripts.set(part.fileName, part.code);
  }
  return scripts;
}

async function open(): Promise<{ page: Page; close(): Promise<void> }> {
  const { page, context } = await newTab(browser);
  await page.goto(origin);
  await page.waitForFunction(() => 'loading' in globalThis);
  await page.evaluate(() => loading.start());
  return { page, close: () => context.close() };
}

describe('a model directory', () => {
  it('is downloaded, checked and loaded, and a damaged shard is fetched again', async () => {
    const { page, close } = await open();
    requests.length = 0;
    damageNext = 'model/shard-00002.bin';
    const got = await page.evaluate((url) => loading.download(url), `${origin}/model/`);
    expect(got).toMatchObject({ storage: 'opfs', hashes: expected.hashes, norm: expected.norm });
    expect(requests.filter((request) => request.includes('shard-00002'))).toHaveLength(2);
    expect(requests.filter((request) => request.includes('shard-00003'))).toHaveLength(1);
    requests.length = 0;
    await page.evaluate((url) => loading.download(url), `${origin}/model/`);
    expect(requests).toEqual(['model/model.json whole']);
    await close();
  });

  it('that does not fit is refused before anything is downloaded, with what is needed and what is free', async () => {
    const { page, close } = await open();
    requests.length = 0;
    const message = await page.evaluate(
      (url) => loading.download(url).then(String, (error: Error) => error.message),
      `${origin}/huge/`,
    );
    expect(message).toMatch(/^model: needs 12\d GiB of this browser’s storage, but .* only \d[\d.]* [MGT]iB more/);
    expect(requests).toEqual(['huge/model.json whole']);
    await close();
  });

  it('that the disk does not take in the end is explained too', async () => {
    const { page, close } = await open();
    const debug = await page.context().newCDPSession(page);
    await debug.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 5 * 2 ** 20 });
    requests.length = 0;
    const message = await page.evaluate(
      (url) => loading.download(url).then(String, (error: Error) => error.message),
      `${origin}/model/`,
    );
    expect(message).toMatch(/^model: needs 15\.\d MiB of this browser’s storage, .*free some space/);
    expect(requests.length).toBeGreaterThan(1);
    await close();
  });
});

describe('a model of the hub', () => {
  it('is quantised in the tab by range, and after the tab was killed only the rest is read', async () => {
    const hub = await startHub(MODEL, checkpoint.files, { token: 'secret' });
    const { page, close } = await open();
    const options = { endpoint: hub.url, token: 'secret', shardBytes: SHARD_BYTES };
    hub.trouble.holdFrom = 40_000_000;
    await page.evaluate(([from, given]) => void loading.quantize(from, given).catch(() => {}), [
      MODEL,
      options,
    ] as const);
    await expect
      .poll(() => page.evaluate((name) => loading.storedFiles(name), folder), { timeout: 60_000 })
      .toContain('shard-00009.bin');
    await page.evaluate(() => loading.kill());
    hub.trouble.holdFrom = Number.POSITIVE_INFINITY;
    const before = hub.requests.length;

    await page.evaluate(() => loading.start());
    const got = await page.evaluate(([from, given]) => loading.quantize(from, given), [MODEL, options] as const);
    expect(got).toMatchObject({ hashes: expected.hashes, norm: expected.norm });
    // The kill may come before the ninth is noted down, and the tensor that its end cuts is read again.
    expect(got.firstDoneBytes).toBeGreaterThan(7 * SHARD_BYTES);
    const read = hub.requests.slice(before).reduce((sum, { server, range }) => {
      const [, start = 0, end = 0] = /bytes=(\d+)-(\d+)/.exec(range ?? '')?.map(Number) ?? [];
      return server === 'cdn' && end > start ? sum + end + 1 - start : sum;
    }, 0);
    // Four bytes of source for each byte done need not be read again, but for the tensor that the end of it cuts.
    const sourceBytes = Object.values(checkpoint.files).reduce((sum, { length }) => sum + length, 0);
    const largestTensorBytes = 4 * 128 * 20_000;
    expect(read).toBeLessThan(sourceBytes - 3.9 * (got.firstDoneBytes ?? 0) + largestTensorBytes);
    const stored = await page.evaluate((name) => loading.storedFiles(name), folder);
    expect(stored).toEqual(Object.keys(expected.files).sort());
    await close();
    await hub.close();
  });
});
