import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createParticipant, FlError, type RunView } from '@cotune/fl-core';
import { expect, onTestFinished, test } from 'vitest';
import { connectParticipant, drive } from '../src/participant/connect.ts';
import { socketTransport } from '../src/participant/transport.ts';
import { createSocketServer } from '../src/sockets/server.ts';
import { memoryStorage, newDataDir, openRun, PATIENT, requestId, seededTrainer, start, useHarness } from './harness.ts';

useHarness();

/** A driven participant, with what it was told. */
function driven(url: string, token: () => string, onRefused?: (code: string) => boolean) {
  const socket = connectParticipant(url, { name: 'Ada', adapter: 'none', features: [] }, token);
  onTestFinished(() => void socket.disconnect());
  const notices: string[] = [];
  const tokens: string[] = [];
  const participant = createParticipant({
    trainer: seededTrainer('Ada'),
    transport: socketTransport(socket, url),
    storage: memoryStorage(),
    examples: 10,
    now: Date.now,
    onActivity() {},
  });
  const ended = drive(socket, participant, {
    onWelcome: (resumeToken) => tokens.push(resumeToken),
    onNotice: (message) => notices.push(message),
    ...(onRefused && { onRefused }),
  });
  ended.catch(() => {}); // awaited later
  return { socket, notices, tokens, ended };
}

/** A server that answers handshakes as told, and counts them. */
async function doorkeeper(answer: (count: number) => { code: string; message: string } | 'dismiss') {
  const http = createServer();
  const io = createSocketServer(http, { hosts: undefined, origins: [] });
  const atMs: number[] = [];
  io.of('/participant').use((_socket, next) => {
    atMs.push(performance.now());
    const reply = answer(atMs.length);
    next(reply === 'dismiss' ? undefined : Object.assign(new Error(reply.message), { data: reply }));
  });
  io.of('/participant').on('connection', (socket) => socket.disconnect(true));
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void io.close());
  return { url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`, atMs };
}

test('a coordinator that is busy is asked again, one that refuses is not', async () => {
  const refusals = [
    { code: 'busy', message: 'shutting down' },
    { code: 'internal', message: 'see the log' },
    { code: 'forbidden', message: 'the run is full' },
  ];
  const { url, atMs } = await doorkeeper((count) => refusals[count - 1] ?? 'dismiss');
  const { ended, notices } = driven(url, () => 'invite_x');
  await expect(ended).rejects.toEqual(new FlError('forbidden', 'the run is full'));
  expect(atMs).toHaveLength(3);
  expect(notices).toEqual(['shutting down; trying again', 'see the log; trying again']);
});

test('being dismissed over and over is answered with growing pauses', async () => {
  const { url, atMs } = await doorkeeper(() => 'dismiss');
  driven(url, () => 'invite_x');
  await expect.poll(() => atMs.length, PATIENT).toBe(3);
  const [first = 0, second = 0, third = 0] = atMs;
  expect(second - first).toBeGreaterThan(450);
  expect(third - second).toBeGreaterThan(900);
});

test('an identity that the coordinator does not know any more is replaced by means of the invitation', async () => {
  const coordinator = await start();
  const { token } = await openRun(coordinator);
  let current = 'resume_forgotten';
  const { tokens } = driven(
    coordinator.url,
    () => current,
    (code) => {
      expect(code).toBe('unauthorized');
      current = token;
      return true;
    },
  );
  await expect.poll(() => tokens, PATIENT).toHaveLength(1);
});

test('a run that ends lets go of its participants', async () => {
  const coordinator = await start();
  const { runId, token } = await openRun(coordinator);
  const { ended, tokens } = driven(coordinator.url, () => token);
  await expect.poll(() => tokens, PATIENT).toHaveLength(1);
  await coordinator.adminCall('run:abort', { requestId: requestId(), runId });
  await expect(ended).rejects.toThrow(/aborted: stopped by the operator/);
});

test('while a run’s model is not offered nobody is admitted, and no invitation is used up', async () => {
  const dataDir = await newDataDir();
  const first = await start({ dataDir });
  const { runId, token } = await openRun(first, { autoStart: false });
  await first.close();
  const without = await start({ dataDir, models: [] });
  const { notices } = driven(without.url, () => token);
  await expect.poll(() => notices.length, PATIENT).toBeGreaterThan(1);
  expect(notices[0]).toMatch(/model "tiny" is not offered at the moment/);
  const { run, invitations }: { run: RunView; invitations: { uses: number }[] } = await without.adminCall('run:get', {
    runId,
  });
  expect(run.participants).toBe(0);
  expect(invitations.map((one) => one.uses)).toEqual([0]);
});
