import { existsSync } from 'node:fs';
import { join } from 'node:path';
import {
  CHUNK_BYTES,
  decodeAlgorithmState,
  decodeVector,
  LORA_TARGET_NAMES,
  l2Norm,
  PROTOCOL_VERSION,
  type RunView,
  sha256Hex,
  type UploadTicket,
} from '@cotune/fl-core';
import { expect, test } from 'vitest';
import { connected, hello, newDataDir, openRun, PATIENT, socketTo, start, untilRun, useHarness } from './harness.ts';
import { rawParticipant, updateFor } from './raw-participant.ts';

useHarness();

/** Two raw participants in the first round of a run. */
async function twoInRound(overrides: Parameters<typeof openRun>[1] = {}) {
  const dataDir = await newDataDir();
  const coordinator = { ...(await start({ dataDir })), dataDir };
  const { runId, token } = await openRun(coordinator, overrides);
  const ada = await rawParticipant(coordinator, token);
  const bob = await rawParticipant(coordinator, token);
  const update = await updateFor(coordinator, await ada.offer());
  return { coordinator, runId, ada, bob, update };
}

test('unusable updates are refused with a code, counted as refusals, and never as contributions', async () => {
  const { coordinator, runId, ada, bob, update } = await twoInRound();
  const spoiled = (value: number) => (delta: Float32Array) => delta.with(3, value);
  const bytesFor = async (change: (delta: Float32Array) => Float32Array) =>
    updateFor(coordinator, await ada.offer(), change);

  expect(await ada.upload(await bytesFor(spoiled(Number.NaN)))).toMatchObject({
    status: 'rejected',
    code: 'not-finite',
    round: 0,
  });
  expect(await ada.upload(await bytesFor(spoiled(Number.POSITIVE_INFINITY)))).toMatchObject({ code: 'not-finite' });
  expect(await ada.upload(update, { sha256: 'ab'.repeat(32) })).toMatchObject({
    status: 'rejected',
    code: 'wrong-hash',
    message: expect.stringMatching(/announced was/),
  });
  const damaged = update.slice();
  damaged[100] = (damaged[100] ?? 0) ^ 1;
  expect(await ada.upload(damaged)).toMatchObject({ status: 'rejected', code: 'wrong-hash' });
  const otherRound = update.slice();
  otherRound[8] = 5;
  expect(await ada.upload(otherRound)).toMatchObject({ status: 'rejected', code: 'stale' });
  const noVector = update.slice().fill(7, 0, 4);
  expect(await ada.upload(noVector)).toMatchObject({ status: 'rejected', code: 'invalid' });

  // After all that, a good one is taken, and the round closes with the other's.
  expect(await ada.upload(update)).toEqual({ status: 'accepted' });
  expect(await bob.upload(await bytesFor((delta) => delta.map((x) => -x)))).toEqual({ status: 'accepted' });
  const run = await untilRun(coordinator, runId, (view) => view.round === 1);
  expect(run.rounds[0]?.received.map((one) => one.participantId).sort()).toEqual(
    [ada.welcome.participantId, bob.welcome.participantId].sort(),
  );
  expect(run.rounds[0]?.refused.map((one) => one.code)).toEqual([
    'not-finite',
    'not-finite',
    'wrong-hash',
    'wrong-hash',
    'stale',
    'invalid',
  ]);
});

test('announcements that cannot become an update are refused before a byte is sent', async () => {
  const { ada, update } = await twoInRound();
  const table: [string, Parameters<typeof ada.open>[1], string][] = [
    ['too large', { bytes: update.length + 4 }, 'too-large'],
    ['too small', { bytes: update.length - 4 }, 'wrong-shape'],
    ['other dtype', { dtype: 'f16' }, 'wrong-shape'],
    ['too many examples', { examples: 2e9 }, 'invalid'],
    ['no examples', { examples: 0 }, 'invalid'],
    ['half an example', { examples: 1.5 }, 'invalid'],
    ['a round to come', { round: 1 }, 'invalid'],
    ['another attempt', { attempt: 1 }, 'stale'],
    ['another run', { runId: 'run_other' }, 'forbidden'],
    ['no hash', { sha256: 'zz' }, 'invalid'],
  ];
  for (const [what, overrides, code] of table) {
    expect(await ada.open(update, overrides), what).toMatchObject({ ok: false, code });
  }
});

test('chunks are checked one by one', async () => {
  const { ada, bob, update } = await twoInRound();
  const opened = await ada.open(update);
  const ticket: UploadTicket = opened.ok ? opened.value : expect.fail(JSON.stringify(opened));
  const longer = new Uint8Array(CHUNK_BYTES);

  expect(await ada.chunk(ticket, update, 0, { crc32: 1 })).toMatchObject({ ok: false, code: 'wrong-hash' });
  expect(await ada.chunk(ticket, longer, 0)).toMatchObject({ ok: false, code: 'too-large' });
  expect(await ada.chunk(ticket, update.subarray(1), 0)).toMatchObject({ ok: false, code: 'wrong-shape' });
  expect(await ada.chunk(ticket, update, 0, { index: 9 })).toMatchObject({ ok: false, code: 'invalid' });
  expect(await ada.chunk(ticket, update, 0, { uploadId: 'up_unknown' })).toMatchObject({
    ok: false,
    code: 'not-found',
  });
  expect(await bob.chunk(ticket, update, 0)).toMatchObject({ ok: false, code: 'forbidden' });
  expect(await ada.commit(ticket)).toMatchObject({ ok: false, code: 'incomplete' });
  expect(await ada.chunk(ticket, update, 0)).toMatchObject({ ok: true });
  expect(await ada.commit(ticket)).toEqual({ ok: true, value: { status: 'accepted' } });
});

test('the same update again is the same answer, another one is a duplicate, one for a closed round is late', async () => {
  const { coordinator, runId, ada, bob, update } = await twoInRound({
    participants: { min: 1, max: 10 },
    graceMs: 0,
    rounds: 3,
  });
  const offer = await bob.offer();
  const changed = await updateFor(coordinator, offer, (delta) => delta.map((x) => 2 * x));
  // With a quorum of one and no grace, Ada's update may close the round by itself.
  expect(await ada.upload(update)).toEqual({ status: 'accepted' });
  expect(await ada.upload(update, { round: 0, attempt: 0 })).toEqual({ status: 'accepted' });
  expect(await ada.upload(changed, { round: 0, attempt: 0 })).toMatchObject({ code: 'duplicate' });
  await untilRun(coordinator, runId, (view: RunView) => view.round > 0);
  const { run } = await coordinator.adminCall('run:get', { runId });
  expect(run.rounds[0]?.received).toHaveLength(1);
  const late = await bob.upload(changed, { round: 0, attempt: 0 });
  expect(late).toMatchObject({ code: run.rounds[0]?.sampled.includes(bob.welcome.participantId) ? 'late' : 'stale' });
  // What was counted stays counted, also by a repetition after the round.
  expect(await ada.upload(update, { round: 0, attempt: 0 })).toEqual({ status: 'accepted' });
});

test('an oversized message closes the socket, and the participant comes back with its resume token', async () => {
  const { coordinator, ada, update } = await twoInRound();
  const closed = new Promise((resolve) => ada.socket.once('disconnect', resolve));
  ada.socket.emit('upload:chunk', { uploadId: 'x', index: 0, crc32: 0 }, new Uint8Array(2 ** 20), () => {});
  await closed;
  const again = await rawParticipant(coordinator, ada.welcome.resumeToken);
  expect(again.welcome.participantId).toBe(ada.welcome.participantId);
  expect(await again.upload(update)).toEqual({ status: 'accepted' });
});

test('a reconnect sends only the chunks that are missing, also across a restart of the coordinator', async () => {
  const dataDir = await newDataDir();
  const first = await start({ dataDir });
  const { token } = await openRun(first, { lora: { rank: 256, alpha: 4, targets: [...LORA_TARGET_NAMES] } });
  const ada = await rawParticipant(first, token);
  await rawParticipant(first, token);
  const update = await updateFor(first, await ada.offer());
  expect(update.length).toBeGreaterThan(3 * CHUNK_BYTES);
  const opened = await ada.open(update);
  const ticket: UploadTicket = opened.ok ? opened.value : expect.fail(JSON.stringify(opened));
  await ada.chunk(ticket, update, 0);
  await ada.chunk(ticket, update, 2);
  ada.socket.disconnect();

  const back = await rawParticipant(first, ada.welcome.resumeToken);
  const reopened = await back.open(update);
  expect(reopened).toMatchObject({
    ok: true,
    value: { uploadId: ticket.uploadId, have: Buffer.from([0b101]).toString('base64') },
  });
  await back.chunk(ticket, update, 1);
  await first.close();

  const second = await start({ dataDir });
  const after = await rawParticipant(second, ada.welcome.resumeToken);
  expect(await after.open(update)).toMatchObject({
    ok: true,
    value: { have: Buffer.from([0b111]).toString('base64') },
  });
  const sent: number[] = [];
  after.socket.onAnyOutgoing((event, payload) => event === 'upload:chunk' && sent.push(payload.index));
  expect(await after.upload(update)).toEqual({ status: 'accepted' });
  expect(sent).toEqual([3]);
});

test('a second socket with the same identity takes over, and the first is told', async () => {
  const { coordinator, ada, update } = await twoInRound();
  const told = new Promise<{ reason: string }>((resolve) => ada.socket.once('removed', resolve));
  const tab = await rawParticipant(coordinator, ada.welcome.resumeToken);
  expect((await told).reason).toMatch(/taken over/);
  await expect.poll(() => ada.socket.connected, PATIENT).toBe(false);
  expect(await tab.upload(update)).toEqual({ status: 'accepted' });
  const { participants } = await coordinator.adminCall('run:get', { runId: tab.welcome.runId });
  expect(participants.filter((one) => one.connected)).toHaveLength(2);
});

test('handshakes are refused with a code', async () => {
  const coordinator = await start();
  const { runId, token } = await openRun(coordinator, { autoStart: false });
  const attempt = (auth: object) => connected(socketTo(coordinator, '/participant', auth), 'welcome');
  const tokenOf = async (limits: { maxUses?: number; ttlMs?: number }) => {
    const url = await coordinator.createInvitation(runId, limits);
    return url.slice(url.lastIndexOf('/') + 1);
  };
  const refused = (code: string, message: RegExp) => ({ code, message: expect.stringMatching(message) });

  for (const protocol of [PROTOCOL_VERSION - 1, PROTOCOL_VERSION + 1]) {
    const answer = refused('version', new RegExp(`got protocol ${protocol}, expected ${PROTOCOL_VERSION}`));
    await expect(attempt({ ...hello(token), protocol })).rejects.toEqual(answer);
  }
  await expect(attempt({})).rejects.toEqual(refused('version', /none/));
  for (const name of ['a\u001b[31mb', 'two\nlines', '\u202eadA', '  ', 'x'.repeat(81)]) {
    await expect(attempt(hello(token, name))).rejects.toEqual(refused('invalid', /client.name/));
  }
  await expect(attempt({ protocol: PROTOCOL_VERSION, token })).rejects.toEqual(refused('invalid', /client/));
  await expect(attempt(hello('invite_unknown'))).rejects.toEqual(refused('unauthorized', /unknown/));
  await expect(attempt(hello('resume_unknown'))).rejects.toEqual(refused('unauthorized', /unknown/));
  await expect(attempt(hello(await tokenOf({ ttlMs: -1 })))).rejects.toEqual(refused('unauthorized', /expired/));
  const once = await tokenOf({ maxUses: 1 });
  await attempt(hello(once));
  await expect(attempt(hello(once))).rejects.toEqual(refused('unauthorized', /used 1 of 1/));
  const { invitation, url } = await coordinator.adminCall('invitation:create', {
    requestId: crypto.randomUUID(),
    runId,
  });
  await coordinator.adminCall('invitation:revoke', {
    requestId: crypto.randomUUID(),
    invitationId: invitation.invitationId,
  });
  await expect(attempt(hello(url.slice(url.lastIndexOf('/') + 1)))).rejects.toEqual(refused('unauthorized', /revoked/));
  await coordinator.adminCall('run:abort', { requestId: crypto.randomUUID(), runId });
  await expect(attempt(hello(token))).rejects.toEqual(refused('wrong-state', /aborted/));
});

test('an aggregate that is not finite is never published: one more attempt, then the model is kept', async () => {
  const { coordinator, runId, ada, bob } = await twoInRound({ rounds: 2 });
  const huge = (delta: Float32Array) => delta.fill(3.4e38);
  for (const one of [ada, bob]) {
    const update = await updateFor(coordinator, await one.offer(), huge);
    expect(await one.upload(update)).toEqual({ status: 'accepted' });
  }
  const first = await untilRun(coordinator, runId, (view) => view.round === 1 && view.attempt === 0);
  for (const attempt of [0, 1]) {
    await untilRun(coordinator, runId, (view) => view.round === 1 && view.attempt === attempt);
    for (const one of [ada, bob]) {
      await expect
        .poll(async () => (await one.offer()).round * 10 + (await one.offer()).attempt, PATIENT)
        .toBe(10 + attempt);
      await one.upload(await updateFor(coordinator, await one.offer(), huge)); // 3.4e38 + 3.4e38 overflows f32
    }
  }
  const run = await untilRun(coordinator, runId);
  expect(run.rounds[1]).toMatchObject({ kept: true, attempt: 1, adapterSha256: first.adapter?.sha256 });
  expect(run.rounds[1]?.note).toMatch(/not finite/);
  expect(run.adapter).toEqual(first.adapter);
});

test('an update with the bytes of an adapter never takes the adapter away', async () => {
  const { coordinator, runId, ada, bob, update } = await twoInRound({ rounds: 3 });
  const bytesOf = async (url: string) => new Uint8Array(await (await fetch(`${coordinator.url}${url}`)).arrayBuffer());
  const first = await ada.offer();
  for (const one of [ada, bob]) expect(await one.upload(update)).toEqual({ status: 'accepted' });
  await expect.poll(async () => (await ada.offer()).round, PATIENT).toBe(1);
  const second = await ada.offer();
  const old = await bytesOf(first.adapter.url);
  expect(await ada.upload(old)).toMatchObject({ status: 'rejected', code: 'stale' });
  expect(await ada.upload(await bytesOf(second.adapter.url))).toEqual({ status: 'accepted' });
  await expect.poll(async () => (await bob.offer()).round, PATIENT).toBe(1);
  const other = await updateFor(coordinator, await bob.offer(), (delta) => delta.map((x) => -x));
  expect(await bob.upload(other)).toEqual({ status: 'accepted' });
  await untilRun(coordinator, runId, (run) => run.round === 2);
  // Updates are cleaned away in the order of their participants, Bob's last.
  const isThere = () => existsSync(join(coordinator.dataDir, 'blobs', sha256Hex(other).slice(0, 2), sha256Hex(other)));
  await expect.poll(isThere, PATIENT).toBe(false);
  expect(await bytesOf(first.adapter.url)).toEqual(old);
  expect(sha256Hex(await bytesOf(second.adapter.url))).toBe(second.adapter.sha256);
});

test('opening and committing many times at once is opening and committing once', async () => {
  const { coordinator, runId, ada, bob, update } = await twoInRound();
  expect(await bob.upload(update)).toEqual({ status: 'accepted' });
  const mine = await updateFor(coordinator, await ada.offer(), (delta) => delta.map((x) => -x));
  const opened = await Promise.all(Array.from({ length: 50 }, () => ada.open(mine)));
  const [first] = opened;
  const ticket: UploadTicket = first?.ok ? first.value : expect.fail(JSON.stringify(first));
  for (const answer of opened) expect(answer).toEqual({ ok: true, value: ticket });
  await ada.chunk(ticket, mine, 0);
  // The first closes the round, and the update's file is cleaned away while the others wait for their turn.
  const commits = await Promise.all(Array.from({ length: 100 }, () => ada.commit(ticket)));
  expect(new Set(commits.map((answer) => JSON.stringify(answer)))).toEqual(
    new Set(['{"ok":true,"value":{"status":"accepted"}}']),
  );
  const { run } = await coordinator.adminCall('run:get', { runId });
  expect(run.rounds[0]?.received).toHaveLength(2);
  expect(run.rounds[0]?.refused).toEqual([]);
});

test('a chunk that comes while its upload is being checked changes nothing', async () => {
  const { ada, update } = await twoInRound();
  const opened = await ada.open(update);
  const ticket: UploadTicket = opened.ok ? opened.value : expect.fail(JSON.stringify(opened));
  await ada.chunk(ticket, update, 0);
  const others = Array.from({ length: 20 }, () => ada.commit(ticket));
  const spoiled = await ada.chunk(ticket, update.slice().fill(0xff, 20), 0);
  expect(spoiled).toMatchObject({ ok: false, code: 'wrong-state' });
  for (const answer of await Promise.all(others)) expect(answer).toEqual({ ok: true, value: { status: 'accepted' } });
});

/** As long as an update of an algorithm with one vector more than the delta. */
const scaffold = { algorithm: { id: 'scaffold' }, rounds: 3 } as const;

test('where the algorithm asks for more than the delta, updates are that long and checked whole', async () => {
  const { coordinator, runId, ada, bob, update } = await twoInRound(scaffold);
  expect(await ada.open(update)).toMatchObject({
    ok: false,
    code: 'wrong-shape',
    message: expect.stringMatching(/expected \d+ for this run's adapter and controlDelta/),
  });
  const offer = await ada.offer();
  const { length } = decodeVector(update).vector;
  const twice = (change?: (values: Float32Array) => Float32Array) => updateFor(coordinator, offer, change, 1);
  expect(await ada.open(await updateFor(coordinator, offer, undefined, 2))).toMatchObject({ code: 'too-large' });
  for (const at of [3, length, 2 * length - 1]) {
    const spoiled = await twice((values) => values.with(at, Number.NaN));
    expect(await ada.upload(spoiled), `value ${at}`).toMatchObject({ status: 'rejected', code: 'not-finite' });
  }
  const heavyExtra = await twice((values) => values.map((x, i) => (i < length ? x : 1000 * x)));
  expect(await ada.upload(heavyExtra)).toEqual({ status: 'accepted' });
  expect(await bob.upload(await twice())).toEqual({ status: 'accepted' });
  const run = await untilRun(coordinator, runId, (view) => view.round === 1);
  const norm = l2Norm(decodeVector(update).vector);
  for (const received of run.rounds[0]?.received ?? []) expect(received.updateNorm).toBeCloseTo(norm, 6);

  // The state that the next offer names is the mean of what came behind the deltas: (1000 + 1)/2 of the plain one.
  await expect.poll(async () => (await ada.offer()).round, PATIENT).toBe(1);
  const { algorithmState } = await ada.offer();
  expect(offer.algorithmState).toBeNull();
  const state = await fetch(`${coordinator.url}${algorithmState?.url}`);
  const bytes = new Uint8Array(await state.arrayBuffer());
  expect([sha256Hex(bytes), bytes.length]).toEqual([algorithmState?.sha256, algorithmState?.bytes]);
  const { c } = decodeAlgorithmState(bytes).vectors;
  const plain = decodeVector(await twice()).vector.subarray(length);
  expect(c).toHaveLength(length);
  for (const i of [0, 1, length - 1]) expect(c?.[i]).toBeCloseTo(500.5 * (plain[i] ?? 0), 2);
});

test('rewards of training go with the update to the round’s summary, also across a restart', async () => {
  const dataDir = await newDataDir();
  const first = await start({ dataDir });
  const { runId, token } = await openRun(first, { task: 'dpo' });
  const ada = await rawParticipant(first, token);
  const bob = await rawParticipant(first, token);
  const update = await updateFor(first, await ada.offer());
  const rewards = { accuracy: 0.75, margin: 0.5 };
  const metrics = { lossNats: 0.6, steps: 2, trainingMs: 5, rewards };
  expect(await ada.open(update, { metrics: { ...metrics, rewards: { accuracy: 2, margin: 0 } } })).toMatchObject({
    code: 'invalid',
  });
  expect(await ada.open(update, { metrics })).toMatchObject({ ok: true });
  await first.close();

  const second = await start({ dataDir });
  const [again, other] = [
    await rawParticipant(second, ada.welcome.resumeToken),
    await rawParticipant(second, bob.welcome.resumeToken),
  ];
  expect(again.welcome.run.config.task).toBe('dpo');
  expect(await again.upload(update, { metrics })).toEqual({ status: 'accepted' });
  expect(await other.upload(update)).toEqual({ status: 'accepted' });
  const run = await untilRun(second, runId, (view) => view.round === 1);
  const given = new Map(run.rounds[0]?.received.map((one) => [one.participantId, one.rewards]));
  expect(given.get(ada.welcome.participantId)).toEqual(rewards);
  expect(given.get(bob.welcome.participantId)).toBeUndefined();
});
