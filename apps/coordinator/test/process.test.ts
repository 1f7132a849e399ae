import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeVector, encodeVector, type RunView, sha256Hex } from '@cotune/fl-core';
import { adapterLayout, initAdapter, openModelDirectory, peftFiles } from '@cotune/kernels';
import { directorySource } from '@cotune/kernels/node';
import { describe, expect, it } from 'vitest';
import { assets } from '../src/demo/assets.ts';
import {
  connectedTo,
  demoShard,
  finished,
  joinRun,
  newDirectory,
  serve,
  startServing,
  until,
  useProcesses,
  writeTo,
} from './processes.ts';
import { openWireTap, type WireTap } from './wire-tap.ts';

useProcesses();

const NAMES = ['Ada', 'Bob'];
const PLANTED = 'Quicksilver-Heron-7741';

/** Rows of a demo shard, all of which contain the planted string. */
function plantedData(ordinal: number): string {
  const rows = readFileSync(demoShard(ordinal), 'utf8').trim().split('\n').slice(0, 40);
  const planted = rows.map((line) => {
    const row = JSON.parse(line) as { instruction: string };
    return JSON.stringify({ ...row, instruction: `${PLANTED} ${row.instruction}` });
  });
  return writeTo(newDirectory('data'), `part-${ordinal}.jsonl`, planted.join('\n'));
}

/** Starts two participants, the second once the first is in, so that the order of joining is always the same. */
async function joinBoth(url: string, link: (ordinal: number) => string) {
  const people = [];
  for (const [i, name] of NAMES.entries()) {
    people.push(joinRun(link(i), { name, data: plantedData(i + 1), directory: newDirectory(name) }));
    if (i === 0) await until(async () => (await connectedTo(url)) === 1);
  }
  const [ada, bob] = people;
  if (!ada || !bob) throw new Error('two participants expected');
  return { ada, bob };
}

/** Every spelling under which a text might leave a machine. */
function spellings(text: string): Map<string, Buffer> {
  const utf8 = Buffer.from(text);
  const found = new Map<string, Buffer>([
    ['utf-8', utf8],
    ['utf-16', Buffer.from(text, 'utf16le')],
    ['hex', Buffer.from(utf8.toString('hex'))],
  ]);
  for (let lead = 0; lead < 3; lead++) {
    // The inner digits of base64 when the text begins `lead` bytes into a group of three.
    const digits = Buffer.concat([Buffer.alloc(lead), utf8]).toString('base64');
    found.set(`base64+${lead}`, Buffer.from(digits.slice(4, -4)));
  }
  return found;
}

/** A PEFT directory of the demo model whose adapter is no fresh one: its B is not zero. */
async function peftOfDemo() {
  const lora = { rank: 4, alpha: 8, dropout: 0, targets: ['q_proj' as const, 'v_proj' as const] };
  const { config } = await openModelDirectory(directorySource(assets.demoModel()));
  const layout = adapterLayout(config, lora);
  const vector = initAdapter(layout, 5).map((w, i) => w + 0.1 * Math.sin(i));
  const directory = newDirectory('adapter');
  for (const [name, content] of Object.entries(peftFiles(layout, vector, { baseModel: 'demo' })))
    writeFileSync(join(directory, name), content);
  return { directory, vector, lora };
}

describe('processes', { timeout: 240_000 }, () => {
  let undisturbed = '';

  it('a whole run sends no byte of a participant’s data', async () => {
    const served = await serve(newDirectory('serve'), { participants: 2 });
    const taps: WireTap[] = [await openWireTap(served.port), await openWireTap(served.port)];
    const { ada, bob } = await joinBoth(served.url, (i) => `${taps[i]?.url}${served.joinPath}`);
    await finished(ada, bob);
    expect(ada.result()).toMatchObject({ phase: 'finished', accepted: 2 });
    expect(bob.result()).toEqual(ada.result());
    undisturbed = ada.result().adapter_sha256;

    for (const tap of taps) {
      const sent = tap.sent();
      expect(sent.includes('GET /api/join/')).toBe(true);
      expect(sent.includes('"upload:commit"')).toBe(true); // frames are unmasked: their text can be found
      expect(tap.chunks()).toEqual([0, 0]); // one small update a round
      for (const [spelling, bytes] of spellings(PLANTED)) expect(sent.includes(bytes), spelling).toBe(false);
      await tap.close();
    }
  });

  it('a coordinator killed in mid-round goes on, and the run ends with the same adapter', async () => {
    const dataDir = newDirectory('serve');
    const first = await serve(dataDir, { participants: 2 });
    const { ada, bob } = await joinBoth(first.url, () => `${first.url}${first.joinPath}`);
    await until(() => bob.steps().length >= 1, 2);
    bob.kill('SIGSTOP'); // the round cannot close without this one
    first.process.kill('SIGKILL');
    expect(await first.process.ended).toBe('SIGKILL');
    await until(() => ada.stderr().includes('reconnecting'));

    const second = await serve(dataDir, { participants: 2, port: first.port });
    const { run } = (await (await fetch(`${second.url}/api${second.joinPath}`)).json()) as { run: RunView };
    expect(run).toMatchObject({ phase: 'running', round: 0, roundPhase: 'training' });
    bob.kill('SIGCONT');
    await finished(ada, bob);
    expect(ada.result()).toMatchObject({ phase: 'finished', accepted: 2 });
    expect(ada.result().adapter_sha256).toBe(undisturbed);
    // Nobody trained a round twice.
    for (const one of [ada, bob]) expect(one.steps().map((row) => JSON.parse(row).step)).toEqual([1, 2, 1, 2]);
  });

  it('serve --adapter lets its run start from a PEFT directory, and refuses one of another shape', async () => {
    const { directory, vector, lora } = await peftOfDemo();
    const adapter = join(directory, 'adapter_model.safetensors');
    const served = await serve(newDirectory('serve'), { participants: 1, config: { lora }, adapter });
    const { run } = (await (await fetch(`${served.url}/api${served.joinPath}`)).json()) as { run: RunView };
    expect(run.config.startAdapter).toBe(sha256Hex(encodeVector(vector, { dtype: 'f32', round: 0 })));
    const ada = joinRun(`${served.url}${served.joinPath}`, {
      name: 'Ada',
      data: demoShard(1),
      directory: newDirectory('Ada'),
    });
    await finished(ada);
    const response = await fetch(`${served.url}/api/adapters/${ada.result().adapter_sha256}`);
    const end = decodeVector(new Uint8Array(await response.arrayBuffer())).vector;
    const farthest = end.reduce((most, w, i) => Math.max(most, Math.abs(w - (vector[i] ?? Number.NaN))), 0);
    expect(farthest).toBeGreaterThan(0);
    expect(farthest).toBeLessThan(0.02); // four steps of AdamW at 1e-3 at most; the vector's values reach 0.1 and more

    const misfit = startServing(newDirectory('serve'), {
      participants: 1,
      config: { lora: { ...lora, rank: 8 } },
      adapter: directory,
    });
    expect(await misfit.ended).toBe(1);
    expect(misfit.stderr()).toContain('has rank 4, alpha 8, targets q_proj, v_proj; the run has rank 8, alpha 8,');
  });

  it('a participant killed in mid-round goes on at its step, and the run ends with the same adapter', async () => {
    const config = { rounds: 1, steps: 6 };
    const directory = newDirectory('Ada');
    const person = { name: 'Ada', data: demoShard(1), directory };
    const served = await serve(newDirectory('serve'), { participants: 1, config });
    const killed = joinRun(`${served.url}${served.joinPath}`, person);
    await until(() => killed.steps().length >= 3);
    killed.kill('SIGKILL');
    expect(await killed.ended).toBe('SIGKILL');

    const before = killed.steps();
    const again = joinRun(`${served.url}${served.joinPath}`, person);
    await finished(again);
    const resumed = Number(/going on after step (\d)/.exec(again.stderr())?.[1]);
    expect(resumed).toBeGreaterThanOrEqual(before.length - 1); // at most one step is lost
    expect(again.steps().slice(0, before.length)).toEqual(before); // the same log was appended to
    const told = again.steps().slice(before.length);
    expect(told.map((row) => JSON.parse(row).step)).toEqual([1, 2, 3, 4, 5, 6]);

    const other = await serve(newDirectory('serve'), { participants: 1, config });
    const alone = joinRun(`${other.url}${other.joinPath}`, { ...person, directory: newDirectory('Ada') });
    await finished(alone);
    expect(again.result().adapter_sha256).toBe(alone.result().adapter_sha256);
  });

  it('a participant that is stopped by Ctrl-C ends with 130 and says so', async () => {
    const served = await serve(newDirectory('serve'), { participants: 2 });
    const one = joinRun(`${served.url}${served.joinPath}`, {
      name: 'Ada',
      data: demoShard(1),
      directory: newDirectory('Ada'),
    });
    await until(async () => (await connectedTo(served.url)) === 1);
    one.kill('SIGINT');
    expect(await one.ended).toBe(130);
    expect(one.result()).toMatchObject({ accepted: 0, stopped: true });
  });

  it('a participant killed in mid-upload sends only the missing chunks, and does not train again', async () => {
    const targets = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'] as const;
    const config = { lora: { rank: 64, alpha: 128, targets: [...targets] } };
    const served = await serve(newDirectory('serve'), { participants: 1, config });
    const directory = newDirectory('Ada');
    const person = { name: 'Ada', data: demoShard(1), directory };

    const tap = await openWireTap(served.port);
    tap.holdAfter(1_000_000); // three chunks of 256 KiB and a part of the fourth
    const killed = joinRun(`${tap.url}${served.joinPath}`, { ...person, log: 'killed.jsonl' });
    await until(() => tap.holding());
    killed.kill('SIGKILL');
    expect(await killed.ended).toBe('SIGKILL');
    const before = tap.chunks();
    expect(before.length).toBeGreaterThan(1);
    expect(killed.steps()).toHaveLength(2);

    tap.holdAfter(Number.POSITIVE_INFINITY);
    const again = joinRun(`${tap.url}${served.joinPath}`, { ...person, log: 'again.jsonl' });
    await finished(again);
    expect(again.result()).toMatchObject({ phase: 'finished', accepted: 2 });
    const after = tap.chunks().slice(before.length); // of round 0 what was missing, then all of round 1
    const count = new Set([...before, ...after]).size;
    expect(count).toBeGreaterThan(8);
    const all = Array.from({ length: count }, (_, index) => index);
    expect(after.slice(0, -count).sort((a, b) => a - b)).toEqual(all.filter((index) => !before.includes(index)));
    expect(after.slice(-count).sort((a, b) => a - b)).toEqual(all);
    expect(again.steps().map((row) => JSON.parse(row).round)).toEqual([1, 1]);
    await tap.close();
  });
});
