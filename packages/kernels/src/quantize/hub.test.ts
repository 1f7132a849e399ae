import { afterEach, describe, expect, it } from 'vitest';
import { hubSource, parseHubId, remoteSource } from './hub.ts';
import { COMMIT, type HubServer, startHub } from './hub-server.test-support.ts';
import { memorySink, memorySource } from './memory-files.ts';
import { openModel } from './open-model.ts';
import { quantizeModel } from './quantize-model.ts';
import { readAhead } from './read-ahead.ts';
import type { FileSource } from './source.ts';
import { tinyCheckpoint } from './tiny-checkpoint.ts';

const MODEL = 'owner/tiny-model';
const ID = { model: MODEL, revision: 'main' };
const { files } = tinyCheckpoint();
let hub: HubServer | undefined;
afterEach(() => hub?.close());

const pauses: number[] = [];
const quick = (endpoint: string, token?: string) => ({
  endpoint,
  token,
  sleep: async (ms: number) => void pauses.push(ms),
});

it('tells hub ids from paths and addresses', () => {
  expect(parseHubId('meta-llama/Llama-2-7b-hf')).toEqual({ model: 'meta-llama/Llama-2-7b-hf', revision: 'main' });
  expect(parseHubId('a/b@refs/pr/1')).toEqual({ model: 'a/b', revision: 'refs/pr/1' });
  for (const other of ['a', './a/b', '../b', '/a/b', 'a/b/c', 'a/', 'https://a/b', 'a/b@', 'a b/c']) {
    expect(parseHubId(other), other).toBeUndefined();
  }
});

describe('hubSource', () => {
  it('quantises a model by range, to the bytes of the local one, without giving the CDN the token', async () => {
    hub = await startHub(MODEL, files, { token: 'secret' });
    const sink = memorySink();
    const source = await hubSource(ID, quick(hub.url, 'secret'));
    await quantizeModel(source, sink, { dtype: 'int8', shardBytes: 1024, source: source.label });
    const local = memorySink();
    await quantizeModel(memorySource(files), local, { dtype: 'int8', shardBytes: 1024, source: `${MODEL}@${COMMIT}` });
    expect(sink.files()).toEqual(local.files());
    const cdn = hub.requests.filter(({ server }) => server === 'cdn');
    expect(cdn.some(({ range }) => range)).toBe(true);
    expect(cdn.every(({ authorization, method, range }) => !authorization && (method === 'HEAD' || range))).toBe(true);
    const read = cdn.reduce((sum, { range }) => {
      const [, start = 0, last = -1] = /bytes=(\d+)-(\d+)/.exec(range ?? '')?.map(Number) ?? [];
      return sum + last + 1 - start;
    }, 0);
    expect(read).toBeLessThan(1.2 * (files['model.safetensors'] as Uint8Array).byteLength);
  });

  it('asks again where the CDN is busy or breaks off, with growing pauses', async () => {
    hub = await startHub(MODEL, files);
    const model = await openModel(await hubSource(ID, quick(hub.url)));
    const local = await openModel(memorySource(files));
    pauses.length = 0;
    hub.trouble.busy = 2;
    const name = 'model.layers.1.mlp.down_proj.weight';
    expect(await model.tensor(name)).toEqual(await local.tensor(name));
    hub.trouble.broken = 1;
    const next = 'model.layers.0.self_attn.q_proj.weight';
    expect(await model.tensor(next)).toEqual(await local.tensor(next));
    expect(pauses).toEqual([500, 1000, 500]);
  });

  it('gives up in the end', async () => {
    hub = await startHub(MODEL, files);
    hub.trouble.busy = 1000;
    pauses.length = 0;
    const source = await hubSource(ID, quick(hub.url));
    await expect(source.size('model.safetensors')).rejects.toMatchObject({ code: 'unreachable' });
    expect(pauses).toEqual([500, 1000, 2000, 4000, 8000]);
  });

  it('says what to do about a gated model, and that an unknown one is unknown', async () => {
    hub = await startHub(MODEL, files, { token: 'secret' });
    const gated = await hubSource(ID, quick(hub.url));
    await expect(gated.size('config.json')).rejects.toMatchObject({
      code: 'access-denied',
      message: expect.stringMatching(/owner\/tiny-model.*gated.*HF_TOKEN/),
    });
    const refused = await hubSource(ID, quick(hub.url, 'other'));
    await expect(refused.read('config.json')).rejects.toThrow(/the token given has no access/);
    await expect(hubSource({ model: 'owner/nothing', revision: 'main' }, quick(hub.url))).rejects.toMatchObject({
      code: 'missing-file',
      message: expect.stringContaining('owner/nothing'),
    });
    const open = await hubSource(ID, quick(hub.url, 'secret'));
    expect(await open.size('no.json')).toBeUndefined();
  });
});

it('refuses a server that sends a large file whole for every range', async () => {
  const fetch = async () => new Response('', { status: 200, headers: { 'content-length': String(5e9) } });
  const source = remoteSource('http://127.0.0.1/model', { fetch });
  await expect(source.read('model.safetensors', 8, 16)).rejects.toMatchObject({ code: 'refused' });
});

it('learns a size by range where the answer is compressed', async () => {
  const fetch = async (_: unknown, init?: RequestInit) =>
    init?.method === 'HEAD'
      ? new Response(null, { headers: { 'content-encoding': 'gzip', 'content-length': '3' } })
      : new Response('x', { status: 206, headers: { 'content-range': 'bytes 0-0/77' } });
  expect(await remoteSource('http://127.0.0.1/model', { fetch }).size('config.json')).toBe(77);
});

describe('readAhead', () => {
  const data = Uint8Array.from({ length: 1000 }, (_, i) => i % 251);
  function counted(): { source: FileSource; reads: string[] } {
    const reads: string[] = [];
    const plain = memorySource({ a: data, b: data });
    return {
      reads,
      source: {
        ...plain,
        read(name, start, end) {
          reads.push(`${name} ${start}-${end}`);
          return plain.read(name, start, end);
        },
      },
    };
  }

  it('serves reads in sequence from windows that are fetched ahead, and the rest directly', async () => {
    const { source, reads } = counted();
    const ahead = readAhead(source, 300);
    const spans: [number, number][] = [
      [0, 8],
      [8, 100],
      [100, 350],
      [350, 360],
      [700, 710],
      [710, 1000],
    ];
    for (const [start, end] of spans) {
      expect(await ahead.read('a', start, end)).toEqual(data.slice(start, end));
    }
    expect(reads).toEqual(['a 0-8', 'a 8-308', 'a 308-608', 'a 608-908', 'a 700-710', 'a 908-1000']);
    const into = new Uint8Array(500);
    const filled = await ahead.read('b', 0, 100, into);
    expect(await ahead.read('b', 100, 200, into)).toEqual(data.slice(100, 200));
    expect(filled.byteLength).toBe(100);
  });
});
