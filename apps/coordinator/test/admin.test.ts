import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type AdminCommand, type AdminEvent, adminCommands } from '@cotune/fl-core';
import { expect, test } from 'vitest';
import { COMMANDS } from '../src/admin/commands.ts';
import { allows, createSession } from '../src/store/accounts.ts';
import { appendAudit, verifyAudit } from '../src/store/audit.ts';
import { openDatabase } from '../src/store/database.ts';
import { ROLES } from '../src/store/schema.ts';
import {
  ask,
  connected,
  joinRun,
  newDataDir,
  openRun,
  PATIENT,
  requestId,
  socketTo,
  start,
  untilRun,
  useHarness,
} from './harness.ts';

useHarness();

const ownerTokenOf = (ownerUrl: string | null) => ownerUrl?.split('#owner=')[1] ?? '';

async function login(url: string, token: string, headers: Record<string, string> = {}) {
  return fetch(`${url}/api/admin/login`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body: JSON.stringify({ token }),
  });
}

test('the owner link is given at the first start only, and logs in to a cookie', async () => {
  const dataDir = await newDataDir();
  const first = await start({ dataDir });
  const token = ownerTokenOf(first.ownerUrl);
  const response = await login(first.url, token);
  expect(await response.json()).toEqual({ role: 'owner' });
  const cookie = response.headers.get('set-cookie') ?? '';
  expect(cookie).toMatch(/^cotune_session=session_[\w-]+; .*HttpOnly/);
  expect(cookie).toContain('SameSite=Strict');
  const session = (headers: Record<string, string>) => fetch(`${first.url}/api/admin/session`, { headers });
  const mine = { Cookie: cookie.split(';')[0] ?? '' };
  expect(await (await session(mine)).json()).toEqual({ role: 'owner' });
  expect((await session({})).status).toBe(401);
  await fetch(`${first.url}/api/admin/logout`, { method: 'POST', headers: mine });
  expect((await session(mine)).status).toBe(401);
  expect((await login(first.url, token, { Origin: 'https://evil.example' })).status).toBe(403);
  await first.close();

  const second = await start({ dataDir });
  expect(second.ownerUrl).toBeNull();
  expect((await login(second.url, token)).status).toBe(200);
  await second.close();
  const third = await start({ dataDir, newOwnerToken: true });
  expect((await login(third.url, token)).status).toBe(401);
  expect((await login(third.url, ownerTokenOf(third.ownerUrl))).status).toBe(200);
});

test('a start that fails takes no owner link: the next one gives it, and an older one stays good', async () => {
  const dataDir = await newDataDir();
  const { port } = await start();
  await expect(start({ dataDir, port })).rejects.toMatchObject({ code: 'EADDRINUSE' });
  const first = await start({ dataDir });
  expect(first.ownerUrl).toContain('/admin#owner=owner_');
  await first.close();
  await expect(start({ dataDir, port, newOwnerToken: true })).rejects.toMatchObject({ code: 'EADDRINUSE' });
  const { url, ownerUrl } = await start({ dataDir });
  expect(ownerUrl).toBeNull();
  expect((await login(url, ownerTokenOf(first.ownerUrl))).status).toBe(200);
});

test('behind https the cookie is bound to the host', async () => {
  const { port, ownerUrl } = await start({ env: { COTUNE_PUBLIC_URL: 'https://tune.example' } });
  expect(ownerUrl).toMatch(/^https:\/\/tune\.example\/admin#owner=owner_/);
  const response = await login(`http://127.0.0.1:${port}`, ownerTokenOf(ownerUrl));
  expect(response.headers.get('set-cookie')).toMatch(/^__Host-cotune_session=.*Path=\/.*Secure/);
});

test('logins are throttled', async () => {
  const { url, ownerUrl } = await start({ env: { COTUNE_LOGINS_PER_MINUTE: '3' } });
  for (let i = 0; i < 3; i++) expect((await login(url, 'owner_wrong')).status).toBe(401);
  expect((await login(url, ownerTokenOf(ownerUrl))).status).toBe(429);
});

test('every admin command is refused to whoever lacks its role', async () => {
  const dataDir = await newDataDir();
  const { url } = await start({ dataDir });
  const stranger = socketTo({ url }, '/admin', { token: 'owner_guess' });
  await expect(connected(stranger, 'connect')).rejects.toMatchObject({ code: 'unauthorized' });
  await expect(connected(socketTo({ url }, '/admin', {}), 'connect')).rejects.toMatchObject({ code: 'unauthorized' });

  const db = await openDatabase(dataDir);
  const commands = Object.keys(adminCommands) as AdminCommand[];
  expect(Object.keys(COMMANDS).sort()).toEqual([...commands].sort());
  for (const role of ROLES) {
    const socket = socketTo({ url }, '/admin', { token: await createSession(db, role, Date.now()) });
    await connected(socket, 'connect');
    for (const command of commands) {
      const answer = await ask(socket, command, { requestId: requestId(), runId: 'none' });
      const refused = !answer.ok && answer.code === 'forbidden';
      expect(refused, `${role} ${command}`).toBe(!allows(role, COMMANDS[command].role));
    }
    expect(await ask(socket, 'run:explode', {})).toMatchObject({ ok: false, code: 'invalid' });
    expect(await ask(socket, 'constructor', {})).toMatchObject({ ok: false, code: 'invalid' });
  }
  await db.destroy();
  expect(COMMANDS['run:create'].role).toBe('operator');
  expect(COMMANDS['runs:list'].role).toBe('viewer');
});

test('a repeated request repeats the answer and not the deed', async () => {
  const coordinator = await start();
  const { runId } = await openRun(coordinator, { autoStart: false });
  const { run } = await coordinator.adminCall('run:get', { runId });
  const request = { requestId: requestId(), config: run.config };
  const [one, two] = await Promise.all([
    coordinator.adminCall('run:create', request),
    coordinator.adminCall('run:create', request),
  ]);
  expect(two.run.runId).toBe(one.run.runId);
  expect((await coordinator.adminCall('runs:list', {})).runs).toHaveLength(2);
  await expect(coordinator.adminCall('run:open', { ...request, runId: one.run.runId })).rejects.toMatchObject({
    code: 'duplicate',
  });
});

test('an invitation link is answered again while the coordinator lives, and kept nowhere', async () => {
  const dataDir = await newDataDir();
  const coordinator = await start({ dataDir });
  const { runId } = await openRun(coordinator, { autoStart: false });
  const request = { requestId: requestId(), runId };
  const { url } = await coordinator.adminCall('invitation:create', request);
  expect((await coordinator.adminCall('invitation:create', request)).url).toBe(url);
  await coordinator.close();
  const token = url.slice(url.lastIndexOf('/') + 1);
  for (const file of ['cotune.db', 'cotune.db-wal']) {
    const bytes = await readFile(join(dataDir, file)).catch(() => Buffer.alloc(0));
    expect(bytes.includes(token), file).toBe(false);
    expect(bytes.includes(ownerTokenOf(coordinator.ownerUrl)), file).toBe(false);
  }
  const again = await start({ dataDir });
  await expect(again.adminCall('invitation:create', request)).rejects.toMatchObject({ code: 'duplicate' });
});

test('a run whose settings cannot work together is refused, with the setting', async () => {
  const coordinator = await start();
  await expect(openRun(coordinator, { learningRate: 1e-3, minLearningRate: 1e-2 })).rejects.toMatchObject({
    code: 'invalid',
    message: expect.stringMatching(/^minLearningRate: got 0.01, expected at most/),
  });
  const alone = { algorithm: { id: 'local', hyper: { client: 9 } }, participants: { min: 1, max: 9 } } as const;
  await expect(openRun(coordinator, alone)).rejects.toMatchObject({ code: 'invalid' });
  expect((await coordinator.adminCall('runs:list', {})).runs).toEqual([]);
  await openRun(coordinator, {
    task: 'dpo',
    learningRate: 1e-3,
    minLearningRate: 1e-2,
    learningRateSchedule: 'constant',
  });
  const { runs } = await coordinator.adminCall('runs:list', {});
  expect(runs.map(({ config }) => [config.task, config.dpo])).toEqual([['dpo', { beta: 0.1 }]]);
});

test('commands move a run through its phases, and say why not', async () => {
  const coordinator = await start();
  const { runId, token } = await openRun(coordinator, { autoStart: false, rounds: 1 });
  const call = (command: 'run:open' | 'run:start' | 'run:pause' | 'run:resume' | 'run:abort') =>
    coordinator.adminCall(command, { requestId: requestId(), runId });
  await expect(call('run:open')).rejects.toMatchObject({ code: 'wrong-state' });
  await expect(call('run:pause')).rejects.toMatchObject({ code: 'wrong-state' });
  expect((await call('run:start')).run.phase).toBe('running');
  const ada = joinRun(coordinator, token, { name: 'Ada' });
  const bob = joinRun(coordinator, token, { name: 'Bob' });
  expect((await call('run:pause')).run.phase).toBe('paused');
  expect((await call('run:resume')).run.phase).toBe('running');
  const run = await untilRun(coordinator, runId);
  expect(run.rounds[0]?.received).toHaveLength(2);
  await expect(call('run:abort')).rejects.toMatchObject({ code: 'wrong-state' });
  await expect
    .poll(() => [ada, bob].map((one) => one.activities.at(-1)?.kind), PATIENT)
    .toEqual(['finished', 'finished']);
});

test('a removed participant is told, closed, and not let in again', async () => {
  const coordinator = await start();
  const { runId, token } = await openRun(coordinator, { autoStart: false });
  const ada = joinRun(coordinator, token, { name: 'Ada', reconnection: false });
  await expect.poll(() => ada.resumeToken(), PATIENT).toBeDefined();
  const { participants } = await coordinator.adminCall('run:get', { runId });
  expect(participants).toMatchObject([{ name: 'Ada', connected: true, contributions: 0 }]);
  const participantId = participants[0]?.participantId ?? '';
  await coordinator.adminCall('participant:remove', { requestId: requestId(), participantId, reason: 'wrong data' });
  await expect.poll(() => ada.activities.at(-1), PATIENT).toEqual({ kind: 'removed', reason: 'wrong data' });
  await expect.poll(() => ada.socket.connected, PATIENT).toBe(false);
  const again = joinRun(coordinator, ada.resumeToken() ?? '', { name: 'Ada', reconnection: false });
  const refusal = await new Promise<Error & { data?: { code: string } }>((resolve) =>
    again.socket.on('connect_error', resolve),
  );
  expect(refusal.data?.code).toBe('forbidden');
});

test('the event stream is numbered without gaps and replays from any number, also after a restart', async () => {
  const dataDir = await newDataDir();
  const coordinator = await start({ dataDir });
  const socket = socketTo(coordinator, '/admin', { token: ownerTokenOf(coordinator.ownerUrl) });
  const events: AdminEvent[] = [];
  socket.on('event', (event: AdminEvent) => events.push(event));
  await connected(socket, 'connect');
  const subscribed = await ask(socket, 'events:subscribe', {});
  const { nextSeq } = subscribed.ok
    ? (subscribed.value as { nextSeq: number })
    : expect.fail(JSON.stringify(subscribed));
  const { runId, token } = await openRun(coordinator, { rounds: 1 });
  for (const name of ['Ada', 'Bob']) joinRun(coordinator, token, { name });
  await untilRun(coordinator, runId);
  await expect
    .poll(() => events.some((event) => event.type === 'run' && event.run.phase === 'finished'), PATIENT)
    .toBe(true);
  expect(events.map((event) => event.seq)).toEqual(events.map((_, i) => nextSeq + i));
  expect(new Set(events.map((event) => event.type))).toEqual(new Set(['run', 'participant', 'progress']));

  const replay = await ask(socket, 'events:subscribe', { fromSeq: nextSeq + 2 });
  expect(replay).toMatchObject({ ok: true, value: { replayed: events.slice(2) } });
  await coordinator.close();

  const second = await start({ dataDir });
  const later = socketTo(second, '/admin', { token: ownerTokenOf(coordinator.ownerUrl) });
  await connected(later, 'connect');
  const fresh = await ask(later, 'events:subscribe', { fromSeq: nextSeq + 2 });
  const value = fresh.ok ? (fresh.value as { nextSeq: number; replayed: AdminEvent[] }) : expect.fail('refused');
  expect(value.nextSeq).toBeGreaterThan(events.at(-1)?.seq ?? 0);
  expect(value.replayed.filter((event) => event.type === 'run')).toMatchObject([{ run: { runId, phase: 'finished' } }]);
});

test('a changed audit entry breaks the chain at that entry', async () => {
  const db = await openDatabase(await newDataDir());
  for (const action of ['run:create', 'run:open', 'run:abort']) {
    await appendAudit(db, { atMs: 5, actor: 'owner', action, detail: { runId: 'r' } });
  }
  expect(await verifyAudit(db)).toBeNull();
  await db.updateTable('audit').set({ actor: 'nobody' }).where('seq', '=', 2).execute();
  expect(await verifyAudit(db)).toBe(2);
  await db.destroy();
});
