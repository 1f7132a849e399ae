import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { joinRun, modelDir, newDataDir, openRun, PATIENT, start, untilRun, useHarness } from './harness.ts';

useHarness();

/** A request with any headers at all; fetch forbids some. */
function raw(url: string, headers: Record<string, string>, method = 'GET'): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { headers, method }, async (response) => {
      let body = '';
      for await (const chunk of response) body += chunk;
      resolve({ status: response.statusCode ?? 0, body });
    });
    sent.on('error', reject);
    sent.end();
  });
}

test('model files come whole, in ranges, and not at all when the client has them', async () => {
  const { url, adminCall } = await start();
  const { models } = await adminCall('models:list', {});
  const shard = await readFile(join(modelDir(), 'shard-00000.bin'));
  const at = `${url}${models[0]?.url}shard-00000.bin`;

  const whole = await fetch(at);
  expect(whole.status).toBe(200);
  expect(Buffer.from(await whole.arrayBuffer()).equals(shard)).toBe(true);
  expect(whole.headers.get('cache-control')).toContain('immutable');
  const etag = whole.headers.get('etag') ?? '';
  expect((await fetch(at, { headers: { 'If-None-Match': etag } })).status).toBe(304);

  const part = await fetch(at, { headers: { Range: 'bytes=5-8' } });
  expect(part.status).toBe(206);
  expect(part.headers.get('content-range')).toBe(`bytes 5-8/${shard.length}`);
  expect(Buffer.from(await part.arrayBuffer()).equals(shard.subarray(5, 9))).toBe(true);
  const tail = await fetch(at, { headers: { Range: 'bytes=-3', 'If-Range': etag } });
  expect(Buffer.from(await tail.arrayBuffer()).equals(shard.subarray(-3))).toBe(true);
  expect((await fetch(at, { headers: { Range: 'bytes=5-8', 'If-Range': '"other"' } })).status).toBe(200);
  const beyond = await fetch(at, { headers: { Range: `bytes=${shard.length}-` } });
  expect(beyond.status).toBe(416);
  expect(beyond.headers.get('content-range')).toBe(`bytes */${shard.length}`);

  for (const path of [
    'tiny@0000000000000000/model.json',
    'tiny/..%2fheld-out.jsonl',
    'tiny/config.json',
    'other/model.json',
  ]) {
    expect((await fetch(`${url}/api/models/${path}`)).status, path).toBe(404);
  }
  const unversioned = await fetch(`${url}/api/models/tiny/model.json`);
  expect(unversioned.headers.get('cache-control')).toBe('no-cache');
});

test('global adapters are served, updates of participants are not', async () => {
  const coordinator = await start();
  const { runId, token } = await openRun(coordinator, { rounds: 1 });
  const finished = untilRun(coordinator, runId);
  for (const name of ['Ada', 'Bob']) joinRun(coordinator, token, { name });
  const run = await finished;
  const adapter = await fetch(`${coordinator.url}${run.adapter?.url}`);
  expect(adapter.headers.get('etag')).toBe(`"${run.adapter?.sha256}"`);
  expect((await adapter.arrayBuffer()).byteLength).toBe(run.adapter?.bytes);
  for (const { sha256 } of run.rounds[0]?.received ?? []) {
    expect((await fetch(`${coordinator.url}/api/adapters/${sha256}`)).status).toBe(404);
  }
  expect((await fetch(`${coordinator.url}/api/adapters/..%2f..%2fcotune.db`)).status).toBe(404);
});

test('of algorithm states only the current one of a run whose algorithm shares it is served, and past ones are cleaned away', async () => {
  for (const [id, shared] of [
    ['scaffold', true],
    ['fedadam', false],
  ] as const) {
    const dataDir = await newDataDir();
    const coordinator = await start({ dataDir });
    const { runId, token } = await openRun(coordinator, { algorithm: { id }, rounds: 3 });
    const finished = untilRun(coordinator, runId);
    for (const name of ['Ada', 'Bob']) joinRun(coordinator, token, { name });
    await finished;
    const hashes = async () => {
      const names = await readdir(join(dataDir, 'blobs'), { recursive: true });
      return names.map((name) => name.slice(name.lastIndexOf('/') + 1)).filter((name) => name.length === 64);
    };
    // The first adapter, one for each round, and one state.
    await expect.poll(async () => (await hashes()).length, PATIENT).toBe(5);
    const check = async (url: string) => {
      const served = { adapters: 0, states: 0 };
      for (const hash of await hashes()) {
        for (const kind of ['adapters', 'states'] as const) {
          const { status, headers } = await fetch(`${url}/api/${kind}/${hash}`);
          if (status === 200) served[kind]++;
          if (status === 200) expect(headers.get('etag')).toBe(`"${hash}"`);
          if (status === 200 && kind === 'states') expect(headers.get('cache-control')).toBe('private, no-store');
        }
      }
      return served;
    };
    expect(await check(coordinator.url), id).toEqual({ adapters: 4, states: shared ? 1 : 0 });
    await coordinator.close();
    const again = await start({ dataDir });
    expect(await check(again.url), `${id}, after a restart`).toEqual({ adapters: 4, states: shared ? 1 : 0 });
    expect((await fetch(`${again.url}/api/states/..%2f..%2fcotune.db`)).status).toBe(404);
  }
});

test('every answer carries the security headers, and unknown paths are the web app', async () => {
  const webDir = join(await newDataDir(), 'dist');
  await mkdir(join(webDir, 'assets'), { recursive: true });
  await writeFile(join(webDir, 'index.html'), '<!doctype html><title>Cotune</title>');
  await writeFile(join(webDir, 'assets', 'app-1.js'), 'export {};');
  const { url } = await start({ webDir });
  for (const path of ['/', '/join/abc', '/admin', '/api/nothing', '/healthz']) {
    const { headers } = await fetch(`${url}${path}`);
    expect(headers.get('content-security-policy'), path).toMatch(/default-src 'self'.*frame-ancestors 'none'/);
    expect(headers.get('cross-origin-opener-policy'), path).toBe('same-origin');
    expect(headers.get('cross-origin-embedder-policy'), path).toBe('require-corp');
    expect(headers.get('x-content-type-options'), path).toBe('nosniff');
  }
  expect(await (await fetch(`${url}/join/abc`)).text()).toContain('<title>Cotune</title>');
  const script = await fetch(`${url}/assets/app-1.js`);
  expect(script.headers.get('content-type')).toContain('text/javascript');
  expect(script.headers.get('cache-control')).toContain('immutable');
  expect((await fetch(`${url}/assets/gone.js`)).status).toBe(404);
  expect((await raw(`${url}/..%2f..%2f..%2fetc%2fpasswd`, {})).body).not.toContain('root:');
});

test('foreign origins and hosts are turned away, over HTTP and at the WebSocket handshake', async () => {
  const { url, port } = await start({ env: { COTUNE_ALLOWED_ORIGINS: 'https://friend.example' } });
  const upgrade = (headers: Record<string, string>) =>
    new Promise<number>((resolve, reject) => {
      const sent = request(`${url}/socket.io/?EIO=4&transport=websocket`, {
        headers: {
          Connection: 'Upgrade',
          Upgrade: 'websocket',
          'Sec-WebSocket-Version': '13',
          'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAA==',
          ...headers,
        },
      });
      sent.on('upgrade', (response, socket) => {
        socket.destroy();
        resolve(response.statusCode ?? 0);
      });
      sent.on('response', (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      sent.on('error', reject);
      sent.end();
    });
  const table: [Record<string, string>, boolean][] = [
    [{}, true],
    [{ Origin: url }, true],
    [{ Origin: 'https://friend.example' }, true],
    [{ Origin: 'https://evil.example' }, false],
    [{ Origin: 'null' }, false],
    [{ Origin: `http://127.0.0.1:${port + 1}` }, false],
    [{ Host: 'evil.example', Origin: 'http://evil.example' }, false],
  ];
  for (const [headers, allowed] of table) {
    const what = JSON.stringify(headers);
    expect((await raw(`${url}/healthz`, headers)).status, what).toBe(allowed ? 200 : 403);
    expect(await upgrade(headers), what).toBe(allowed ? 101 : 400);
  }
  // Long polling would be a second door.
  expect((await raw(`${url}/socket.io/?EIO=4&transport=polling`, {})).status).toBe(400);
});

test('join information by invitation, and why not', async () => {
  const coordinator = await start();
  const { runId, token } = await openRun(coordinator);
  const good = await fetch(`${coordinator.url}/api/join/${token}`);
  expect(await good.json()).toMatchObject({
    run: { runId, phase: 'open' },
    model: { id: 'tiny', allowSoftware: true },
  });
  expect((await fetch(`${coordinator.url}/api/join/invite_nonsense`)).status).toBe(404);
  const expired = await coordinator.createInvitation(runId, { ttlMs: -1 });
  const gone = await fetch(`${coordinator.url}/api${new URL(expired).pathname}`);
  expect(gone.status).toBe(410);
  expect(await gone.json()).toMatchObject({ code: 'unauthorized', message: expect.stringMatching(/expired/) });
});

test('health, readiness and metrics', async () => {
  const { url } = await start();
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
  expect(await (await fetch(`${url}/readyz`)).json()).toEqual({ ready: true });
  const metrics = await (await fetch(`${url}/metrics`)).text();
  expect(metrics).toMatch(/^cotune_runs 0$/m);
  expect(metrics).toMatch(/^cotune_participants_connected 0$/m);
});
