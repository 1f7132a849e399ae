import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { expect, test } from 'vitest';
import { createTokenBucket } from '../src/sockets/token-bucket.ts';
import { ask, newDataDir, openRun, start, useHarness } from './harness.ts';
import { rawParticipant } from './raw-participant.ts';

useHarness();

const closed = (socket: { once(event: 'disconnect', listener: (reason: string) => void): unknown }) =>
  new Promise<string>((resolve) => socket.once('disconnect', resolve));

test('a flood is answered busy, and in the end with a closed socket; others are not disturbed', async () => {
  const coordinator = await start({ env: { COTUNE_EVENTS_PER_SECOND: '5' } });
  const { runId, token } = await openRun(coordinator, { autoStart: false });
  const loud = await rawParticipant(coordinator, token);
  const quiet = await rawParticipant(coordinator, token);
  const accept = { runId, round: 0, attempt: 0 };
  const answers = await Promise.all(Array.from({ length: 60 }, () => ask(loud.socket, 'round:accept', accept)));
  const codes = answers.map((answer) => (answer.ok ? 'ok' : answer.code));
  expect(codes.filter((code) => code === 'stale').length).toBeLessThan(25);
  expect(codes.filter((code) => code === 'busy').length).toBeGreaterThan(30);
  const end = closed(loud.socket);
  for (let i = 0; i < 300; i++) loud.socket.emit('round:accept', accept, () => {});
  expect(await end).toBe('io server disconnect');
  expect(await ask(quiet.socket, 'round:accept', accept)).toMatchObject({ code: 'stale' });
});

test('payloads that are no payloads are answered invalid, and nobody dies', async () => {
  const coordinator = await start();
  const { token } = await openRun(coordinator, { autoStart: false });
  const { socket } = await rawParticipant(coordinator, token);
  const table: [string, unknown][] = [
    ['round:accept', {}],
    ['round:accept', null],
    ['round:accept', [1, 2]],
    ['round:accept', { runId: 'x', round: -1, attempt: 0 }],
    ['upload:open', { runId: 'x' }],
    ['upload:chunk', { uploadId: 'x', index: 0.5, crc32: 0 }],
    ['upload:commit', 'up_1'],
    ['runs:list', {}],
    ['__proto__', {}],
    ['toString', {}],
  ];
  for (const [event, payload] of table) {
    expect(await ask(socket, event, payload), event).toMatchObject({ ok: false, code: 'invalid' });
  }
  expect(
    JSON.parse(JSON.stringify(await ask(socket, 'upload:commit', JSON.parse('{"__proto__": {"uploadId": "x"}}')))),
  ).toMatchObject({
    code: 'invalid',
  });
});

test('two binaries in one message close the socket', async () => {
  const coordinator = await start();
  const { token } = await openRun(coordinator, { autoStart: false });
  const { socket } = await rawParticipant(coordinator, token);
  const end = closed(socket);
  socket.emit('upload:chunk', new Uint8Array(8), new Uint8Array(8));
  expect(await end).toMatch(/transport/);
  await expect(rawParticipant(coordinator, token)).resolves.toBeDefined();
});

test('a connection that authenticates nowhere is closed after five seconds, whichever namespaces it asks for', async () => {
  const { url } = await start();
  // Without socket.io's own client, which leaves by itself when it is refused.
  const upgrade = request(`${url}/socket.io/?EIO=4&transport=websocket`, {
    headers: {
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
    },
  });
  const answer = once(upgrade, 'upgrade');
  upgrade.end();
  const stream: Duplex = (await answer)[1];
  let received = Buffer.alloc(0);
  const closing = new Promise<void>((resolve) => {
    stream.on('data', (bytes: Buffer) => {
      received = Buffer.concat([received, bytes]);
      if (received.subarray(-2).equals(Buffer.from([0x88, 0]))) resolve(); // a close frame
    });
  });
  for (const packet of ['40', '40/participant,', '40/admin,', '40/other,']) {
    // One masked text frame; the mask is zero.
    stream.write(Buffer.concat([Buffer.from([0x81, 0x80 | packet.length, 0, 0, 0, 0]), Buffer.from(packet)]));
  }
  await closing;
  stream.destroy();
  const text = received.toString('latin1');
  for (const refusal of ['44{', '44/participant,', '44/admin,', '44/other,']) expect(text).toContain(refusal);
}, 30_000);

test('a data directory belongs to one living coordinator', async () => {
  const dataDir = await newDataDir();
  const other = spawn('sleep', ['60']);
  try {
    await writeFile(join(dataDir, 'coordinator.lock'), `${other.pid}\n`);
    await expect(start({ dataDir })).rejects.toThrow(`in use by process ${other.pid}`);
  } finally {
    other.kill('SIGKILL');
    await once(other, 'exit');
  }
  await (await start({ dataDir })).close(); // the dead one's claim is void
});

test('a token bucket refills with time and never beyond its burst', () => {
  const bucket = createTokenBucket(2, 3);
  expect([0, 0, 0, 0].map((at) => bucket.take(at))).toEqual([true, true, true, false]);
  expect(bucket.take(499)).toBe(false);
  expect(bucket.take(500)).toBe(true);
  expect([60_000, 60_000, 60_000, 60_000].map((at) => bucket.take(at))).toEqual([true, true, true, false]);
});
